"""LaTeX taken out of answers by regular expressions: what `csrc/reward/latex.cpp` is held to."""

from __future__ import annotations

import re

SPACES = "quad qquad enspace enskip thinspace medspace thickspace space nobreakspace hfill bullet textbullet cdot frac \
tfrac dfrac sfrac textsuperscript textsubscript".split()
BREAKS = "newline linebreak par item cr hline".split()
FONTS = (
    "bf it rm sf tt sc em sl bfseries itshape rmfamily sffamily ttfamily scshape upshape normalfont normalsize tiny \
small large Large LARGE huge Huge displaystyle textstyle scriptstyle centering raggedright noindent left right big Big \
bigl bigr Bigl Bigr bigg Bigg limits protect relax".split()
)
SYMBOLS = {
    **dict.fromkeys(SPACES, " "), **dict.fromkeys(BREAKS, "\n"), **dict.fromkeys(FONTS, ""),
    **dict.fromkeys("ldots dots cdots textellipsis".split(), "..."),
    **dict.fromkeys("textquotesingle textquoteright textquoteleft rq lq".split(), "'"),
    **dict.fromkeys("textquotedblleft textquotedblright".split(), '"'),
    **dict.fromkeys("textendash textemdash".split(), "-"),
    **{name: name for name in "ss ae AE oe OE o O l L i j th".split()},
    "aa": "a", "AA": "A", "dh": "d", "DH": "D", "dj": "d", "DJ": "D", "TH": "Th", "textdollar": "$", "pounds": "£",
    "textsterling": "£", "textunderscore": "_", "textasciitilde": "~", "textbackslash": "\\", "times": "x",
}  # fmt: skip
SILENT = {"fcolorbox": 2, "fontsize": 2} | dict.fromkeys(
    "textcolor color colorbox href hspace vspace label phantom hphantom vphantom".split(), 1
)
BLANKS = re.compile(r"[ \t\n\v\f\r]*")
NEWLINE = re.compile(r"n(?![a-z])")
COLUMN = re.compile(r"[ \t\n\v\f\r]*&")
WORD = re.compile(r"[A-Za-z]+")
MOST = 256


def may_hold(text: str) -> bool:
    return re.search(r"[\\{}；]", text) is not None


def _argument(text: str, at: int) -> int:
    """Where a short {...} ends, blanks before it; `at` where there is none."""
    begin = BLANKS.match(text, at).end()  # type: ignore[union-attr]
    if text[begin : begin + 1] != "{":
        return at
    depth, i = 0, begin
    while i < len(text) and len(text[begin:i].encode("utf-8", "surrogatepass")) < MOST:
        if text[i] == "\\":
            # The byte after it is passed over: of a longer character the rest is read, and is no brace.
            i += 1
        elif text[i] in "{}":
            depth += 1 if text[i] == "{" else -1
            if depth == 0:
                return i + 1
        i += 1
    return at


def printed(text: str) -> str:
    out, at, aligned = "", 0, False

    def new_line(at: int) -> int:
        nonlocal out
        out += "\n"
        column = COLUMN.match(text, at)
        return column.end() if column else at

    while at < len(text):
        char = text[at]
        word = WORD.match(text, at + 1)
        after = text[at + 1 : at + 2]
        if char == "；":
            out, at = out + ";", at + 1
        elif char in "{}":
            out += " " if char == "}" and after == "{" else ""
            at += 1
        elif char != "\\":
            out, at = out + char, at + 1
        elif word and NEWLINE.match(word[0]):
            out, at = out + "\n", at + 2
        elif word:
            name, end = word[0], word.end() + (text[word.end() : word.end() + 1] == "*")
            blanks = BLANKS.match(text, end).end()  # type: ignore[union-attr]
            if name in ("begin", "end"):
                aligned = name == "begin"
                at = _argument(text, blanks)
                if name == "begin" and text[blanks:at] in ("{array}", "{tabular}", "{minipage}"):
                    at = _argument(text, at)
                at = new_line(at)
            elif name in SILENT:
                at = end
                for _ in range(SILENT[name]):
                    at = _argument(text, at)
            elif name in SYMBOLS:
                out += SYMBOLS[name]
                at = end + len(re.match(" *", text[end:])[0])  # type: ignore[index]
                at = new_line(at) if name == "item" else at
            elif text[blanks : blanks + 1] == "{":
                at = blanks
            else:
                out, at = out + text[at:end], end
        elif after == "\\":
            following = WORD.match(text, at + 2)
            command = following and (
                NEWLINE.match(following[0])
                or following[0] in {*SYMBOLS, "begin", "end"}
                or text[following.end() : following.end() + 1] == "{"
            )
            escaped = text[at + 2 : at + 3] in {*"{}%$#_"} or (text[at + 2 : at + 3] == "&" and not aligned)
            at = at + 1 if command or escaped else new_line(at + 2)
        elif after in {*",;:> \t\n\r"}:
            out, at = out + ("\n" if after in "\n\r" else " "), at + 2
        elif after == "/":
            at += 2
        elif after in {*'"^~'}:
            within = bool(out) and out[-1].isascii() and out[-1].isalpha()
            accent = re.match("[A-Za-z{]", text[at + 2 : at + 3]) and (after != '"' or within)
            out, at = out + ("" if accent else after), at + 2
        elif after == "" or not after.isascii() or after.isdigit() or after == "\0":
            out, at = out + "\\", at + 1
        else:
            out, at = out + after, at + 2
    return out
