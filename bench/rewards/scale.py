"""The reward engine on a catalogue of 10 million items and 100 million item-attribute edges, beside a small one.

    python -m bench.rewards.scale [--items 10000000] [--degree 10] [--folder DIR] [--output bench/results/scale.json]

Makes both datasets (several gigabytes, under --folder), builds the index, then loads and scores each in a process of
its own: seconds to load, memory beyond the interpreter's, microseconds a response. Prints a table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp

WIDTH = 64  # of embeddings
RESPONSES, TOKENS, CANDIDATES = 2560, 280, 20
ROUNDS = 15


def words(rng: np.random.Generator, count: int) -> np.ndarray:
    letters = rng.integers(97, 123, size=(count, 7), dtype=np.uint8)
    letters[:, 0] -= 32
    return letters.view("S7").ravel().astype(str)


def make_dataset(folder: Path, items: int, degree: int) -> None:
    """Titles of three words and a year, `degree` attributes an item, unit embeddings."""
    rng = np.random.default_rng(0)
    vocabulary = pa.array(words(rng, 2000))
    parts = [vocabulary.take(pa.array(rng.integers(0, 2000, items))) for _ in range(3)]
    years = rng.integers(1930, 2025, items).astype(np.int32)
    year_texts = pc.binary_join_element_wise("(", pa.array(years).cast(pa.string()), ")", "")
    titles = pc.binary_join_element_wise(*parts, year_texts, " ")
    table = pa.table({"item_id": np.arange(items), "title": titles, "year": years})
    pq.write_table(table, folder / "items.parquet")
    attributes = max(degree, items // 10)
    block = attributes // degree
    indices = rng.integers(0, block, size=(items, degree), dtype=np.int32) + np.arange(degree, dtype=np.int32) * block
    ptr = np.arange(0, items * degree + 1, degree)
    matrix = sp.csr_matrix((np.ones(items * degree, np.float32), indices.ravel(), ptr), shape=(items, attributes))
    sp.save_npz(folder / "item_attributes.npz", matrix, compressed=False)
    del matrix, indices, table, titles, parts
    from rerec_engine.data.store import write_embeddings

    rows = rng.standard_normal((items, WIDTH), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    write_embeddings(folder / "item_embeddings.safetensors", rows)


def memory(*fields: str) -> list[float]:
    """Megabytes of this process: RssAnon, RssFile (mapped), VmHWM (the most there were)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(status[field].split()[0]) / 1024 for field in fields]


def resident() -> tuple[float, float]:
    anonymous, mapped = memory("RssAnon", "RssFile")
    return anonymous, mapped


def array_bytes(folder: Path) -> int:
    """Of the index and the embeddings, as they lie on disk."""
    files = [*(folder / "reward_index").glob("*.npy"), folder / "item_embeddings.safetensors"]
    return sum(file.stat().st_size for file in files)


def measure(folder: Path) -> dict[str, Any]:
    """Loads the dataset and scores a batch again and again: fresh answers each round, so that caches do not help."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    import rerec_engine.reward.tables as tables
    from rerec_engine.reward import RewardEngine

    tables.INDEX_FROM = 0  # the small one is mapped too
    backend = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    backend.decoder, backend.pre_tokenizer = decoders.ByteLevel(), pre_tokenizers.ByteLevel(add_prefix_space=False)
    filler = words(np.random.default_rng(1), 400)
    backend.add_tokens([f" {word}" for word in filler.tolist()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)

    anonymous, mapped = resident()
    start = time.perf_counter()
    engine = RewardEngine.load(folder, threads=1)
    seconds = time.perf_counter() - start
    loaded = resident()

    rng = np.random.default_rng(2)
    first = len(tokenizer) - len(filler)
    rates = []
    for _ in range(ROUNDS):
        truth = rng.integers(0, engine.size, RESPONSES).astype(np.int32)
        candidates = rng.integers(0, engine.size, (RESPONSES, CANDIDATES)).astype(np.int32)
        candidates[:, 0] = truth
        answers = np.where(rng.random(RESPONSES) < 0.35, truth, candidates[:, 1])
        rows = []
        for item in answers.tolist():
            title = engine.catalogue.titles[item]
            body = rng.integers(first, len(tokenizer), TOKENS).tolist()
            body[:: TOKENS // 8] = [tokenizer.convert_tokens_to_ids("Ċ")] * len(body[:: TOKENS // 8])
            rows.append(body + tokenizer.encode(f"\nI take {title}.\n\\boxed{{{title}}}", add_special_tokens=False))
        lengths = np.array([len(row) for row in rows])
        ids = np.zeros((RESPONSES, lengths.max()), dtype=np.int64)
        for row, into in zip(rows, ids, strict=True):
            into[: len(row)] = row
        start = time.perf_counter()
        result = engine.score_tokens(ids, lengths, truth, tokenizer, candidates)
        rates.append((time.perf_counter() - start) / RESPONSES * 1e6)
        found = [row[0] if len(row) else -1 for row in result.scores.items]
        same = np.array(found) == answers
        assert same.mean() > 0.98, same.mean()  # the rest have a name twice
        assert (result.scores.hit[same] == (answers == truth)[same]).all()
    after = resident()
    return {
        "items": engine.size,
        "arrays_mb": round(array_bytes(folder) / 2**20, 1),
        "load_seconds": round(seconds, 3),
        "anonymous_mb_loaded": round(loaded[0] - anonymous, 1),
        "mapped_mb_loaded": round(loaded[1] - mapped, 1),
        "anonymous_mb_scored": round(after[0] - anonymous, 1),
        "mapped_mb_scored": round(after[1] - mapped, 1),
        "us_per_response": round(float(np.median(rates)), 3),
        "tokens_per_response": int(lengths.mean()),
    }


def build(folder: Path) -> dict[str, float]:
    """The first load, which builds the index."""
    import rerec_engine.reward.tables as tables
    from rerec_engine.reward import RewardEngine

    tables.INDEX_FROM = 0
    start = time.perf_counter()
    RewardEngine.load(folder)
    seconds = time.perf_counter() - start
    return {"build_seconds": round(seconds, 1), "build_peak_mb": round(memory("VmHWM")[0])}


def in_process(function: str, folder: Path) -> dict[str, Any]:
    """A function of this file in a fresh process, so that memory is its own."""
    command = [sys.executable, "-m", "bench.rewards.scale", "--run", function, "--folder", str(folder)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=4_000, help="items of the catalogue to compare with")
    parser.add_argument("--degree", type=int, default=10, help="attributes an item")
    parser.add_argument("--folder", type=Path, help="where the datasets are made; default: a temporary one")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--run", choices=("build", "measure"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps({"build": build, "measure": measure}[args.run](args.folder)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        results = []
        for items in (args.small, args.items):
            folder = Path(temporary) / str(items)
            folder.mkdir()
            make_dataset(folder, items, args.degree)
            results.append(
                {"edges": items * args.degree, **in_process("build", folder), **in_process("measure", folder)}
            )
            print(json.dumps(results[-1], indent=1), flush=True)
    slower = results[1]["us_per_response"] / results[0]["us_per_response"]
    memory = (results[1]["anonymous_mb_scored"] + results[1]["mapped_mb_scored"]) / results[1]["arrays_mb"]
    print(f"{slower:.2f}x the time a response; memory {memory:.2f}x the arrays")
    if args.output:
        record = {"machine": platform.machine(), "cpus": os.cpu_count(), "ratio": round(slower, 3), "runs": results}
        args.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
