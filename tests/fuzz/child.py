"""One process of libFuzzer on one target: ``python -m fuzz.child TARGET REPORT [option of libFuzzer...] FOLDER...``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["becomingone.wire"]):
    from .targets import Target, all_targets

    TARGETS = all_targets()

from .limits import check_cost, check_traced
from .mutate import mutate_cbor, mutate_json

TRACE_EVERY = 1000
"""Recording allocations is slow, so one input in so many is; and every one that the corpus keeps, see `corpus`.
The outcomes are written down as often: libFuzzer ends the process without a word to Python."""

WARM_UP = 3
"""Rounds over the seeds before anything is measured: what is imported, compiled or cached once is not an input's."""


def checker(target: Target, report: Path) -> Callable[[bytes], None]:
    """What libFuzzer calls: counts the outcome, and lets through what is a finding."""
    for _ in range(WARM_UP):
        for seed in target.seeds():
            target(seed)
    outcomes: Counter[str] = Counter()

    def check(data: bytes) -> None:
        outcome = check_cost(target, data)
        outcomes[outcome] += 1
        if outcomes.total() % TRACE_EVERY == 0:
            check_traced(target, data)
            report.write_text(json.dumps(outcomes))

    return check


def mutator(target: Target) -> Callable[[bytes, int, int], bytes]:
    """A third of the time libFuzzer's own changes to the bytes, otherwise changes that keep the structure."""
    change = {"cbor": mutate_cbor, "json": mutate_json}.get(target.kind)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = Random(seed)
        if change is not None and rng.random() < 0.67:
            try:
                changed = change(data, rng)
            except (ValueError, RecursionError):
                changed = b""
            if 0 < len(changed) <= most:
                return changed
        return atheris.Mutate(data, most)

    return mutate


def main(name: str, report: str, *options: str) -> None:
    """Run until libFuzzer ends the process."""
    target = TARGETS[name]
    atheris.Setup([sys.argv[0], *options], checker(target, Path(report)), custom_mutator=mutator(target))
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
