"""Do to a node whatever may happen to it, and measure: `python -m tests.faults`, which `scripts/faults` calls."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import traceback
from collections.abc import Sequence

from . import table
from .cases import CASES
from .outcome import Case, NotRunError


def main(words: Sequence[str] | None = None, cases: Sequence[Case] = CASES) -> int:
    """0: every bound is kept; 1: one is missed, or a case broke off."""
    arguments = _arguments(words, cases)
    outcomes: dict[Case, table.Said] = {}
    broken = False
    for number, case in enumerate(cases, 1):
        if arguments.only and case.name not in arguments.only:
            continue
        began = time.monotonic()
        _progress(f"{number}/{len(cases)} {case.name} ...\n")
        try:
            outcomes[case] = case.run(arguments.quick)
        except NotRunError as error:
            outcomes[case] = f"not run: {error}"
        except Exception as error:  # noqa: BLE001 - the others are still worth knowing
            traceback.print_exc()
            outcomes[case] = f"BROKE OFF: {type(error).__name__}: {str(error)[:200]}"
            broken = True
        _progress(f"    {time.monotonic() - began:.0f} s\n")
    content = table.as_json(outcomes)
    sys.stdout.write(json.dumps(content) + "\n" if arguments.json else "\n".join(table.as_text(outcomes)) + "\n")
    return int(broken or any(one["ok"] is False for one in content["faults"]))


def _arguments(words: Sequence[str] | None, cases: Sequence[Case]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Kill, cut, fill, freeze and flood a node, its broker and its hub, and measure what it does. "
        "As root on Linux everything is tried; what this machine cannot do is said to be not run.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true", help="about a tenth of it")
    parser.add_argument(
        "--only", action="append", choices=[case.name for case in cases], metavar="NAME",
        help=f"only this one (again for more): {', '.join(case.name for case in cases)}",
    )  # fmt: skip
    return parser.parse_args(words)


def _progress(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    logging.getLogger("becomingone").setLevel(logging.CRITICAL)  # the table says it
    sys.exit(main())
