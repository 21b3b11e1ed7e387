"""What scoring a response costs against its length, the catalogue, the candidates and the threads, drawn as a picture.

    python -m bench.rewards.cost_curve --output docs/reward_cost.png --json bench/results/rewards_cost.json

All data are generated. Before anything is timed, hits and penalised lines are compared with what was generated.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from transformers import PreTrainedTokenizerFast

from bench.common.timing import median
from bench.rewards.workload import WIDTH, unit_rows
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.reward import RewardEngine

LENGTH, ITEMS, CANDIDATES = 300, 4_000, 20
LENGTHS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
SIZES = (1_000, 10_000, 100_000, 1_000_000)
LISTS = (0, 5, 20, 100, 300, 1_000)
TOKENS_A_BATCH = 600_000
LINE_WORDS = 25
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#555555"  # of Okabe and Ito's palette, apart for every kind of eye


def pseudo_words(count: int) -> list[str]:
    """Distinct made-up words of two or three syllables."""
    syllables = [a + b for a in "bdfgklmnprstv" for b in "aeiou"]
    rng = np.random.default_rng(0)
    made = ("".join(rng.choice(syllables, rng.integers(2, 4))) for _ in iter(int, 1))
    words: dict[str, None] = {}
    while len(words) < count:
        words[next(made)] = None
    return list(words)


@dataclass(frozen=True)
class World:
    """N items with names of two to four words, and a tokenizer for their texts."""

    titles: list[str]
    words: list[str]
    tokenizer: PreTrainedTokenizerFast
    attributes: sp.csr_matrix
    embeddings: np.ndarray

    @classmethod
    def of(cls, items: int, words: list[str], tokenizer: PreTrainedTokenizerFast) -> World:
        rng = np.random.default_rng(items)
        names: dict[str, None] = {}
        while len(names) < items:
            for row, count in zip(rng.integers(0, len(words), (items, 4)), rng.integers(2, 5, items), strict=True):
                names[" ".join(words[w] for w in row[:count]).title()] = None
        years = rng.integers(1930, 2020, items)
        titles = [f"{name} ({year})" for name, year in zip(list(names)[:items], years, strict=True)]
        columns = rng.integers(0, max(items // 4, 20), items * 10)
        ptr = np.arange(0, items * 10 + 1, 10)
        attributes = sp.csr_matrix((np.ones(items * 10, np.float32), columns, ptr), (items, max(items // 4, 20)))
        attributes.sum_duplicates()
        return cls(titles, words, tokenizer, attributes, unit_rows(items))

    def engine(self, threads: int = 1) -> RewardEngine:
        return RewardEngine(Catalogue(self.titles), self.attributes, self.embeddings, threads=threads)


@dataclass(frozen=True)
class Batch:
    """B responses of `length` tokens: a third is right, the others name their wrong title in one line before."""

    ids: torch.Tensor  # [B, length] int64
    texts: list[str]
    truth: np.ndarray  # [B]
    answered: np.ndarray  # [B]

    @classmethod
    def of(cls, world: World, length: int) -> Batch:
        rng = np.random.default_rng(length)
        count = int(np.clip(TOKENS_A_BATCH // length, 6, 2_000))
        truth = rng.integers(0, len(world.titles), count)
        wrong = (truth + 1 + rng.integers(0, len(world.titles) - 1, count)) % len(world.titles)
        answered = np.where(np.arange(count) % 3 == 0, truth, wrong)
        rows = [cls._response(world, rng, length, world.titles[item]) for item in answered]
        texts = [world.tokenizer.decode(row) for row in rows]
        return cls(torch.tensor(rows), texts, truth, answered)

    @staticmethod
    def _response(world: World, rng: np.random.Generator, length: int, title: str) -> list[int]:
        name = title[: title.rindex(" (")]
        tail = f"\nso {name} is close\n\nthe answer is\n\\boxed{{{title}}}"
        end: list[int] = world.tokenizer(tail, add_special_tokens=False)["input_ids"]
        lines: list[str] = []
        for _ in range(length * 2 // LINE_WORDS + 1):
            lines.append(" ".join(world.words[w] for w in rng.integers(0, len(world.words), LINE_WORDS)))
        start: list[int] = world.tokenizer("\n".join(lines), add_special_tokens=False, verbose=False)["input_ids"]
        assert len(start) + len(end) >= length
        return start[: length - len(end)] + end

    def candidates(self, world: World, count: int) -> np.ndarray | None:
        """[B, count] items, the truth and the answer among them; None for 0."""
        if count == 0:
            return None
        rng = np.random.default_rng(count)
        drawn = rng.integers(0, len(world.titles), (len(self.truth), count))
        drawn[:, 0] = self.truth
        if count > 1:
            drawn[:, 1] = self.answered
        return drawn


@dataclass(frozen=True)
class Cost:
    """Microseconds a response, with token rewards from ids and without from text."""

    tokens: float
    text: float


def cost(world: World, batch: Batch, engine: RewardEngine, candidates: int, rounds: int) -> Cost:
    """Median of `rounds` runs, after the results have been compared with what was generated."""
    among = batch.candidates(world, candidates)
    lengths = torch.full((len(batch.ids),), batch.ids.shape[1])

    def tokens() -> Any:
        return engine.score_tokens(batch.ids, lengths, batch.truth, world.tokenizer, among)

    def text() -> Any:
        return engine.score(batch.texts, batch.truth, among)

    right = batch.truth == batch.answered
    result = tokens()
    np.testing.assert_array_equal(result.scores.hit, right)
    np.testing.assert_array_equal(text().hit, right)
    lowest = np.where(right, result.scores.total, 0.7 * result.scores.total)
    np.testing.assert_allclose(result.token_rewards.min(axis=1), lowest, rtol=1e-5)
    scale = 1e6 / len(batch.ids)
    return Cost(median(tokens, rounds, warm_up=3) * scale, median(text, rounds, warm_up=3) * scale)


def measure(rounds: int, threads: Sequence[int], sizes: Sequence[int]) -> dict[str, Any]:
    """The four curves: lists of {x, tokens, text}."""
    words = pseudo_words(5_000)
    tokenizer = corpus_tokenizer([" ".join(words), " ".join(words).title()], vocab_size=8_000)
    world = World.of(ITEMS, words, tokenizer)
    engine, base = world.engine(), Batch.of(world, LENGTH)

    def point(x: int, found: Cost) -> dict[str, float]:
        print(f"    {x:>9,}: {found.tokens:10.2f} us with token rewards, {found.text:10.2f} us from text", flush=True)
        return {"x": x, "tokens": found.tokens, "text": found.text}

    cost(world, base, engine, CANDIDATES, rounds)  # the first run in a process is slow
    print("tokens a response")
    lengths = [point(n, cost(world, Batch.of(world, n), engine, CANDIDATES, rounds)) for n in LENGTHS]
    print("candidates")
    lists = [point(n, cost(world, base, engine, n, rounds)) for n in LISTS]
    print("threads")
    several = [point(n, cost(world, base, world.engine(n), CANDIDATES, rounds)) for n in threads]
    print("items")
    catalogues = []
    for size in sizes:
        other = World.of(size, words, tokenizer)
        catalogues.append(point(size, cost(other, Batch.of(other, LENGTH), other.engine(), CANDIDATES, rounds)))
    return {"length": lengths, "catalogue": catalogues, "candidates": lists, "threads": several}


def draw(curves: dict[str, Any], path: Path) -> None:
    """Four panels, us a response."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    panels = (
        ("length", "tokens in the response", f"{ITEMS:,} items, {CANDIDATES} candidates, 1 thread"),
        ("catalogue", "items in the catalogue", f"{LENGTH} tokens, {CANDIDATES} candidates, 1 thread"),
        ("candidates", "candidates of a query", f"{LENGTH} tokens, {ITEMS:,} items, 1 thread"),
        ("threads", "threads", f"{LENGTH} tokens, {ITEMS:,} items, {CANDIDATES} candidates"),
    )
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    plain = FuncFormatter(lambda value, _: f"{value:g}" if value < 1000 else f"{value:,.0f}")
    for axis, (key, label, title) in zip(axes.flat, panels, strict=True):
        points = curves[key]
        x = [point["x"] for point in points]
        for name, colour, marker, text in (
            ("tokens", BLUE, "o", "scores and token rewards, from ids"),
            ("text", ORANGE, "s", "scores alone, from text"),
        ):
            y = [point[name] for point in points]
            axis.plot(x, y, color=colour, marker=marker, linewidth=2, markersize=6, label=text)
            for place in (0, -1):
                axis.annotate(
                    f"{y[place]:,.3g}" if y[place] < 1000 else f"{y[place]:,.0f}",
                    (x[place], y[place]),
                    xytext=(0, 8),
                    textcoords="offset points",
                    ha="center",
                    color=colour,
                )
        if key == "threads":
            ideal = [points[0]["tokens"] / n for n in x]
            axis.plot(x, ideal, color=GREY, linestyle=":", linewidth=1.5, label="1 thread / threads")
        if key == "candidates":
            axis.set_xscale("symlog", linthresh=5, linscale=0.5)
        else:
            axis.set_xscale("log", base=2 if key == "threads" else 10)
        if key == "length":
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(plain)
        else:
            axis.set_ylim(0, 1.25 * max(max(point["tokens"], point["text"]) for point in points))
        axis.xaxis.set_major_locator(FixedLocator([n for n in x if key != "length" or n in (100, 1e3, 1e4, 1e5)]))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(plain)
        axis.margins(x=0.08)
        axis.set_xlabel(label)
        axis.set_ylabel("µs a response")
        axis.set_title(title, fontsize=11, color=GREY)
        axis.grid(axis="y", color="#dddddd", linewidth=0.8)
        axis.set_axisbelow(True)
    handles, labels = axes[1, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--output", type=Path, default=Path("docs/reward_cost.png"), help="the picture")
    parser.add_argument("--json", type=Path, help="the figures; where it exists and --draw is given, they are read")
    parser.add_argument("--draw", action="store_true", help="draw the figures of --json again")
    parser.add_argument("--rounds", type=int, default=9, help="runs whose median counts")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args()
    if options.draw:
        if not options.json or not options.json.is_file():
            parser.error("--draw needs --json FILE with figures")
        curves = json.loads(options.json.read_text(encoding="utf-8"))["curves"]
    else:
        curves = measure(options.rounds, options.threads, options.sizes)
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        if options.json:
            content = {"unit": "us a response, median", "rounds": options.rounds, "width": WIDTH, **machine}
            options.json.write_text(json.dumps(content | {"curves": curves}, indent=2) + "\n", encoding="utf-8")
    draw(curves, options.output)


if __name__ == "__main__":
    main()
