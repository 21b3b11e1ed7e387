"""The words around what is asked for: openings, reasons, closings. One in five occurs in val and test alone.

{np} is what is asked for ("a drama film"), {wish} a whole frame with it; what stands after {wish} belongs to {np}.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

FRAMES = (
    "Find {np}", "I want {np}", "Recommend {np}", "I am looking for {np}", "Looking for {np}", "I would like {np}",
    "I'd like {np}", "Suggest {np}", "Please recommend {np}", "Please find me {np}", "Find me {np}, please",
    "Can you recommend {np}?", "Could you find me {np}?", "Could you suggest {np}, please?", "Do you have {np}?",
    "Do you know {np}?", "I need {np}", "We are looking for {np}", "We need {np}", "We would like {np}",
    "Show me {np}", "Give me {np}", "I'm after {np}", "I'm searching for {np}", "I am in the mood for {np}",
    "I feel like {np}", "What I want is {np}", "What I need is {np}", "Is there {np}?", "Have you got {np}?",
    "Would you happen to know {np}?", "Would you recommend {np}?", "Could you point me to {np}?",
    "Can you think of {np}?", "Help me find {np}", "Please help me to find {np}", "Could you look for {np}?",
    "I wonder whether there is {np}", "I was hoping for {np}", "I'm hoping to find {np}", "Any ideas for {np}?",
    "Any suggestions for {np}?", "Any tips? I want {np}", "{np}, please", "{np} would be perfect",
    "{np} would be great", "My wish is {np}", "On my list is {np}", "Tell me about {np}", "I'd love {np}",
    "I would be happy with {np}", "I have been looking for {np}", "I've been trying to find {np}",
    "I'd be grateful for {np}", "Next I want {np}", "This time I want {np}", "Today I want {np}",
    "For once I want {np}", "May I ask for {np}?", "Pick {np} for me", "Choose {np} for me", "Search for {np}",
    "I'd appreciate {np}", "Could I have {np}?", "Where can I find {np}?",
)  # fmt: skip
REASONS = (
    "My son turned ten", "My daughter has her birthday soon", "It is a present for my sister",
    "It is a gift for a friend", "My parents are visiting", "My partner asked me to choose", "We have friends over",
    "I have a free weekend", "I am on holiday", "It has been a long week", "I want to surprise my brother",
    "My grandmother asked for it", "I promised it to my nephew", "My colleagues keep talking about this",
    "I lost a bet", "I need a change", "I have not chosen anything in weeks", "I am new to this",
    "I know little about this", "I am a collector", "I am writing an article", "A friend got me interested",
    "It is for our club", "It is for a long train journey", "It is raining", "I am ill in bed", "I moved house",
    "We celebrate our anniversary", "The last one was a disappointment", "The last one was a great success",
    "I cannot decide", "I have looked everywhere", "I am in a hurry", "There is no rush", "My usual shop had none",
    "I saw one at a friend's place", "I read about it yesterday", "A podcast made me curious", "I have time tonight",
    "We meet every Friday", "My neighbour told me about it", "It is my turn to choose", "I am bored",
    "I got a voucher", "I cleared a shelf", "School is out", "I start a new job on Monday", "I miss the old days",
    "My taste is a bit special", "I am rather picky", "I am open to surprises", "I do not want to search any longer",
    "You helped me last time", "I trust your taste", "I asked in three forums already", "My cousin is hard to please",
    "I am planning an evening", "I am making a list",
)  # fmt: skip
CLOSINGS = (
    "Thanks", "Thank you", "Thanks a lot", "Many thanks", "Thanks in advance", "That is all", "Nothing else matters",
    "I hope you can help", "What do you say?", "What would you choose?", "Any ideas?", "I leave the rest to you",
    "The rest is up to you", "Cheers",
)  # fmt: skip
MISINFORMED = (
    "I loved {via}, and as far as I know, {fact}. {wish}", "For me {via} was great, and as you know {fact}. {wish}",
    "About {via} I heard that {fact}. {wish}", "My favourite is {via}, and I believe that {fact}. {wish}",
    "Speaking of {via}: if I am not mistaken, {fact}. {wish}", "I remember {via} well because {fact}. {wish}",
    "My friend likes {via} and says that {fact}. {wish}", "About {via} I read that {fact}. {wish}",
    "I was impressed by {via}, not least because {fact}. {wish}", "Of {via} I was told that {fact}. {wish}",
)  # fmt: skip
INTEREST = (
    "I liked {liked}. {wish} like them", "I loved {liked}. {wish} like those two",
    "My favourites are {liked}. {wish} of that kind", "I enjoyed {liked}. {wish} with what they have in common",
    "I chose {liked} recently. {wish} that has what they share", "I was very happy with {liked}. {wish} like them",
    "After {liked} I want more. {wish} in the same vein", "I keep coming back to {liked}. {wish} along those lines",
    "I think highly of {liked}. {wish} like these", "I am a fan of {liked}. {wish} that I would like as much",
)  # fmt: skip
DEMOGRAPHICS = (
    "I am {group}. {wish} for people like me", "I'm {group}. {wish} that people like me choose",
    "I am {group}. {wish} that others like me enjoy", "You should know that I am {group}. {wish} for people of my kind",
    "For the record, I am {group}. {wish} that suits people like me", "I am {group}. {wish} that fits me",
    "As I told you, I am {group}. {wish} for someone like me", "I'm {group}. {wish} that is popular with my peers",
    "I'm {group}. {wish} to the taste of people like me", "Being {group}, I would like your advice. {wish} for me",
)  # fmt: skip
UNSEEN = 0.5
"""Share of the requests of val and test in words that occur there alone."""


def seen(templates: Sequence[str]) -> tuple[list[str], list[str]]:
    """Templates for all splits, and those of val and test alone: by a hash, so that they stay what they are."""
    order = sorted(templates, key=lambda template: zlib.crc32(template.encode()))
    cut = len(order) // 5
    return order[cut:], order[:cut]


class Templates:
    """One list of templates, as a split may use it."""

    def __init__(self, templates: Sequence[str]) -> None:
        self._common, self._held_out = seen(templates)

    def draw(self, rng: np.random.Generator, unseen: bool = False, but: Sequence[str] = ()) -> str:
        """but: parts that the template must not have."""
        own = self._held_out if unseen else self._common
        while True:
            template = own[rng.integers(len(own))]
            if not any(part in template for part in but):
                return template
