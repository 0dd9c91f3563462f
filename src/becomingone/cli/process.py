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

from becomingone.cli.exits import Exit

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


class Told:
    """Whether this process has been told to end: by SIGINT or SIGTERM, or by the end of its standard input.

    Made inside the running loop, before anything that must not be cut off half-way.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The running loop.
    or_end_of_stdin : bool
        Told too when standard input ends: whoever started this process has gone, however that came about.
    insisting : bool
        A second signal ends the process at once, without a goodbye.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, or_end_of_stdin: bool = False, insisting: bool = False
    ) -> None:
        self.event = asyncio.Event()
        self._insisting = insisting
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)
        if or_end_of_stdin:
            descriptor = sys.stdin.fileno()

            def readable() -> None:
                if not os.read(descriptor, 4096):
                    loop.remove_reader(descriptor)
                    self.event.set()

            loop.add_reader(descriptor, readable)

    def _signalled(self) -> None:
        if self._insisting and self.event.is_set():
            _LOG.warning("told twice to stop: ends at once")
            logging.shutdown()
            os._exit(Exit.FAILED)
        self.event.set()


async def stop_signal(loop: asyncio.AbstractEventLoop, *, or_end_of_stdin: bool = False) -> None:
    """Wait for SIGINT or SIGTERM, or the end of standard input; see `Told`."""
    await Told(loop, or_end_of_stdin=or_end_of_stdin).event.wait()


def run(
    make: Callable[[asyncio.AbstractEventLoop], Part],
    *,
    stop_with_stdin: bool = False,
    stop_timeout_s: float = STOP_TIMEOUT_S,
    end: asyncio.Event | None = None,
) -> Exit:
    """Run a part until it is told to stop.

    Parameters
    ----------
    make : callable
        Makes the part inside the running loop.
    stop_with_stdin : bool
        See `Told`.
    stop_timeout_s : float
        Seconds for an orderly end.
    end : asyncio.Event, optional
        Set where the part wants to end by itself; cleared again where it has been told to end as well.

    Returns
    -------
    Exit
        `Exit.DONE` when it was told to stop, or wanted to, whether or not the broker heard its goodbye;
        `Exit.FAILED` when its own faults ended it.
    """
    return asyncio.run(_main(make, stop_with_stdin, stop_timeout_s, end or asyncio.Event()))


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


async def _main(
    make: Callable[[asyncio.AbstractEventLoop], Part], stop_with_stdin: bool, stop_timeout_s: float, end: asyncio.Event
) -> Exit:
    loop = asyncio.get_running_loop()
    told = Told(loop, or_end_of_stdin=stop_with_stdin, insisting=True)
    faults = _Faults(loop)
    part = make(loop)
    part.start()
    reasons = [loop.create_task(event.wait()) for event in (told.event, faults.too_many, end)]
    await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    stopped = asyncio.Event()
    part.stop(stopped.set)
    try:
        await asyncio.wait_for(stopped.wait(), stop_timeout_s)
    except TimeoutError:
        _LOG.warning("stopped without a goodbye: the broker did not answer in time")
    for reason in reasons:
        reason.cancel()
    if told.event.is_set():
        end.clear()
    return Exit.FAILED if faults.too_many.is_set() else Exit.DONE
