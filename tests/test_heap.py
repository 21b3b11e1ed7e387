"""Freed memory is kept, in processes that ask for it and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

CHILD = """
import json, resource
import numpy as np
from rerec_engine.heap import keep_memory

def touched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        np.full(8 << 20, 1.0)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = touched()
kept = keep_memory()
np.full(8 << 20, 1.0)
print(json.dumps([kept, plain, touched()]))
"""


GIVEN_BACK = """
import json
import numpy as np
from rerec_engine.heap import give_back, keep_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20

kept = keep_memory()
small = [np.full(1 << 17, 1.0) for _ in range(64)]  # 1 MB each
between = small[1::2]
del small
before = resident()
gave = give_back()
print(json.dumps([kept, gave, before - resident(), float(sum(x.sum() for x in between))]))
"""


def child(code: str, **environment: str) -> list[Any]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", code], env={**env, **environment}, check=True, stdout=subprocess.PIPE)
    found: list[Any] = json.loads(done.stdout)
    return found


def test_pages_are_touched_once() -> None:
    kept, plain, after = child(CHILD)
    if not kept:
        pytest.skip("no mallopt: glibc has it")
    assert after < plain / 10


def test_what_is_free_between_others_is_given_back() -> None:
    kept, gave, less, total = child(GIVEN_BACK)
    if not kept:
        pytest.skip("no mallopt: glibc has it")
    assert gave
    assert less > 25  # of 32 MB
    assert total == 32 * (1 << 17)


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_environment_says_goes_first(name: str) -> None:
    value = "glibc.malloc.arena_max=2" if name == "GLIBC_TUNABLES" else "2"
    assert child(CHILD, **{name: value})[0] is False
