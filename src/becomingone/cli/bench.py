"""`becomingone bench`: run one benchmark and say how it came out."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from becomingone.bench.registry import BENCHES, run
from becomingone.cli.exits import Exit

if TYPE_CHECKING:
    import argparse


def measure(arguments: argparse.Namespace) -> int:
    """Run the benchmark; 0 when its targets are met, 1 when one is missed, 2 when there is none of that name."""
    if arguments.name is None:
        sys.stdout.write("".join(f"{name:8} {text}\n" for name, text in BENCHES.items()))
        return Exit.DONE
    if arguments.name not in BENCHES:
        sys.stderr.write(f"bench {arguments.name!r}: there is none; there are {', '.join(BENCHES)}\n")
        return Exit.BAD_INPUT
    report = run(arguments.name, quick=arguments.quick)
    text = json.dumps(report.as_json()) if arguments.json else "\n".join(report.lines())
    sys.stdout.write(text + "\n")
    return Exit.DONE if report.ok else Exit.FAILED
