"""Writes `fold_table.inc`: what `rerec_engine.graph.titles.fold` does to each code point of the folded blocks.

python csrc/text/make_fold_table.py > csrc/text/fold_table.inc

The blocks have been complete since Unicode 13, so every supported Python writes the same table.
"""

from __future__ import annotations

from rerec_engine.graph.titles import FOLDED, fold, is_upper


def main() -> None:
    print("// Written by make_fold_table.py: {code point, upper case, folded UTF-8}; ' ' is a word break.")
    line = ""
    for first, last in FOLDED:
        for code in range(first, last + 1):
            folded = fold(chr(code))
            if folded == chr(code) and not is_upper(chr(code)):
                continue
            text = "".join(chr(b) if b < 0x80 and chr(b) not in '"\\' else f"\\{b:03o}" for b in folded.encode())
            entry = f'{{0x{code:X}, {int(is_upper(chr(code)))}, "{text}"}},'
            if len(line) + len(entry) > 119:
                print(line)
                line = ""
            line += (" " if line else "") + entry
    print(line)


if __name__ == "__main__":
    main()
