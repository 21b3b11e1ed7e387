"""What is said in ten turns, and what each turn asks for: written by hand, for the demo's world and for real films."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """A turn. wanted, unwanted: (relation, value). kind: a relation that it has."""

    text: str
    wanted: tuple[tuple[str, str], ...] = ()
    unwanted: tuple[tuple[str, str], ...] = ()
    older_than: int = 9999
    older_than_turn: int = 0
    newer_than: int = 0
    kind: str = ""
    new: tuple[int, ...] = ()  # turns whose items are not to be named again
    count: int = 1
    user: int | None = None
    impossible: bool = False  # no item satisfies it: the answer has to say so


FILM, BOOK = "Directed_by", "Written_by"
DEMO = (
    Said(
        "Could you suggest a gripping western, ideally one that Ann Wolfe directed?",
        wanted=(("Genre", "western"), ("Directed_by", "Ann Wolfe")),
        kind=FILM,
    ),
    Said(
        "Hm, got something older?",
        wanted=(("Genre", "western"), ("Directed_by", "Ann Wolfe")),
        kind=FILM,
        older_than_turn=1,
        new=(1,),
    ),
    Said(
        "Okay, but not by her this time",
        wanted=(("Genre", "western"),),
        unwanted=(("Directed_by", "Ann Wolfe"),),
        kind=FILM,
        older_than_turn=1,
        new=(1, 2),
    ),
    Said(
        "Let's switch to novels: any comedies whose story takes place in Norway?",
        wanted=(("Genre", "comedy"), ("Set_in", "Norway")),
        kind=BOOK,
    ),
    Said(
        "Is there another like that from the eighties?",
        wanted=(("Genre", "comedy"), ("Set_in", "Norway")),
        kind=BOOK,
        newer_than=1979,
        older_than=1990,
        new=(4,),
    ),
    Said(
        "Yesterday I saw Broken Shadow (1957) and adored it; what else did that person direct?",
        wanted=(("Directed_by", "Bo Ferro"),),
        kind=FILM,
    ),
    Said(
        "I also enjoyed Ann Wolfe's directing in Broken Shadow (1957). Give me a comedy with the same director",
        wanted=(("Directed_by", "Bo Ferro"), ("Genre", "comedy")),
        kind=FILM,
    ),
    Said(
        "I need a cowboy picture with Lea Ferro in it, directed by Pia Quist",
        wanted=(("Genre", "western"), ("Starring", "Lea Ferro"), ("Directed_by", "Pia Quist")),
        kind=FILM,
        impossible=True,
    ),
    Said("Never mind. You know my taste: what film would suit me tonight?", kind=FILM, user=5),
    Said(
        "Something completely different: two old books from before 1970, no thrillers, and nothing set in Canada",
        unwanted=(("Genre", "thriller"), ("Set_in", "Canada")),
        kind=BOOK,
        older_than=1970,
        count=2,
    ),
)
FILMS = (
    Said(
        "Could you suggest a thriller with Bruce Willis in it?",
        wanted=(("genre", "Thriller"), ("starring", "Bruce Willis")),
    ),
    Said(
        "Hm, got something older?",
        wanted=(("genre", "Thriller"), ("starring", "Bruce Willis")),
        older_than_turn=1,
        new=(1,),
    ),
    Said(
        "Okay, but without him this time",
        wanted=(("genre", "Thriller"),),
        unwanted=(("starring", "Bruce Willis"),),
        older_than_turn=1,
        new=(1, 2),
    ),
    Said(
        "Let's change the subject: a comedy that Woody Allen directed, but nothing starring Mia Farrow",
        wanted=(("genre", "Comedy"), ("director", "Woody Allen")),
        unwanted=(("starring", "Mia Farrow"),),
    ),
    Said(
        "Is there another like that from the seventies?",
        wanted=(("genre", "Comedy"), ("director", "Woody Allen")),
        unwanted=(("starring", "Mia Farrow"),),
        newer_than=1969,
        older_than=1980,
        new=(4,),
    ),
    Said(
        "Yesterday I saw Jurassic Park (1993) and adored it; what else did that person direct?",
        wanted=(("director", "Steven Spielberg"),),
    ),
    Said(
        "I also enjoyed James Cameron's directing in Alien (1979). Give me a drama with the same director",
        wanted=(("director", "Ridley Scott"), ("genre", "Drama")),
    ),
    Said(
        "I need a western with Bruce Willis in it, directed by Woody Allen",
        wanted=(("genre", "Western"), ("starring", "Bruce Willis"), ("director", "Woody Allen")),
        impossible=True,
    ),
    Said("Never mind. You know my taste: what movie would suit me tonight?", user=5),
    Said(
        "Something completely different: two musicals from before 1970, no dramas, and nothing with music by Oliver"
        " Wallace",
        wanted=(("genre", "Musical"),),
        unwanted=(("genre", "Drama"), ("musicComposer", "Oliver Wallace")),
        older_than=1970,
        count=2,
    ),
)
TURNS = {"demo": DEMO, "films": FILMS}
