"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait(condition: Callable[[], object], seconds: float, what: str, *, every: float = 0.1) -> None:
    """Wait until a condition holds, asking every so many seconds.

    Raises
    ------
    TimeoutError
        It did not, in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            msg = f"waited {seconds:g} s for {what}"
            raise TimeoutError(msg)
        time.sleep(every)
