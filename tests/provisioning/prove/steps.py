"""What a proof is made of: steps that are timed, told as they end, and counted."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class VitalStepError(Exception):
    """A step has failed without which the others mean nothing."""


class Told:
    """What a step has found."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def __call__(self, **facts: Any) -> None:
        """Add facts."""
        self.facts |= facts


def require(condition: object, message: str) -> None:
    """Fail the step unless a condition holds.

    Raises
    ------
    AssertionError
        It does not.
    """
    if not condition:
        raise AssertionError(message)


class Steps:
    """The steps of one run.

    Parameters
    ----------
    as_json : bool
        Standard output is for the document at the end; what is told on the way goes to standard error.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._began = time.monotonic()
        self.done: list[dict[str, Any]] = []

    @contextmanager
    def __call__(self, title: str, *, vital: bool = False) -> Iterator[Told]:
        """Run a step; when a vital one fails, the run ends."""
        told = Told()
        began = time.monotonic()
        error = ""
        try:
            yield told
        except Exception as raised:  # noqa: BLE001 - whatever ends a step is told and counted
            error = f"{type(raised).__name__}: {raised}"
            if not isinstance(raised, AssertionError | TimeoutError | RuntimeError):
                traceback.print_exc()
        seconds = round(time.monotonic() - began, 1)
        self.done.append({"step": title, "passed": not error, "seconds": seconds, **told.facts})
        facts = ", ".join(f"{key} {value}" for key, value in told.facts.items())
        stream = sys.stderr if self._as_json else sys.stdout
        line = f"{'FAILED' if error else 'ok':6} {seconds:7.1f} s  {title}{': ' if facts else ''}{facts}"
        print(line, file=stream, flush=True)
        if error:
            self.done[-1]["error"] = error
            print(f"       {error}", file=stream, flush=True)
            if vital:
                raise VitalStepError(title)

    def finish(self) -> int:
        """Tell the whole, and give the exit code."""
        failed = [step["step"] for step in self.done if not step["passed"]]
        seconds = round(time.monotonic() - self._began, 1)
        if self._as_json:
            print(
                json.dumps({"passed": not failed, "failed": failed, "seconds": seconds, "steps": self.done}, indent=1)
            )
        elif failed:
            print(f"failed after {seconds} s: {', '.join(failed)}")
        else:
            print(f"all {len(self.done)} steps passed in {seconds} s")
        return 1 if failed or not self.done else 0
