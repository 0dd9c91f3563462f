"""Running a part as a process: an event loop, signals, logging, an orderly end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

STOP_TIMEOUT_S = 1.5
"""Seconds for an orderly end after the first signal; the process ends then in any case."""


MOST_FAULTS = 20
FAULTS_WINDOW_S = 10.0
"""So many bugs within so many seconds end the process."""

_LOG = logging.getLogger(__name__)


class Part(Protocol):
    """A node or a hub."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self, done: Callable[[], None]) -> None:
        """End, and call back."""
        ...


def set_up_logging(level: str) -> None:
    """Log to standard error, which systemd's journal keeps; the journal adds the time itself."""
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


async def stop_signal(loop: asyncio.AbstractEventLoop, *, or_end_of_stdin: bool = False) -> None:
    """Wait for SIGINT or SIGTERM.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The running loop.
    or_end_of_stdin : bool
        Stop too when standard input ends: whoever started this process has gone, however that came about.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if or_end_of_stdin:
        descriptor = sys.stdin.fileno()

        def readable() -> None:
            if not os.read(descriptor, 4096):
                loop.remove_reader(descriptor)
                stop.set()

        loop.add_reader(descriptor, readable)
    await stop.wait()


def run(make: Callable[[asyncio.AbstractEventLoop], Part], *, stop_with_stdin: bool = False) -> int:
    """Run a part until it is told to stop.

    Parameters
    ----------
    make : callable
        Makes the part inside the running loop.
    stop_with_stdin : bool
        See `stop_signal`.
    """
    return asyncio.run(_main(make, stop_with_stdin=stop_with_stdin))


class _Faults:
    """Lets a part live through single bugs, told with their tracebacks, and ends it when they do not stop.

    A process that starts anew under its supervisor is better than one that is there and does nothing.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.too_many = asyncio.Event()
        self._times: deque[float] = deque(maxlen=MOST_FAULTS)
        loop.set_exception_handler(self._fault)

    def _fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        _LOG.error("a bug: %s", context.get("message"), exc_info=context.get("exception"))
        self._times.append(loop.time())
        if len(self._times) == MOST_FAULTS and self._times[-1] - self._times[0] < FAULTS_WINDOW_S:
            self.too_many.set()


async def _main(make: Callable[[asyncio.AbstractEventLoop], Part], *, stop_with_stdin: bool) -> int:
    loop = asyncio.get_running_loop()
    faults = _Faults(loop)
    part = make(loop)
    part.start()
    told = loop.create_task(stop_signal(loop, or_end_of_stdin=stop_with_stdin))
    failed = loop.create_task(faults.too_many.wait())
    await asyncio.wait([told, failed], return_when=asyncio.FIRST_COMPLETED)
    stopped = asyncio.Event()
    part.stop(stopped.set)
    try:
        await asyncio.wait_for(stopped.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        _LOG.warning("stopped without a goodbye: the broker did not answer in time")
        return 1
    return 1 if faults.too_many.is_set() else 0
