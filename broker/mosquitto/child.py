"""Mosquitto as a child process: started until it listens, kept running, ended with us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from becomingone.broker.backoff import Backoff
from becomingone.broker.mosquitto import die_with_parent
from becomingone.broker.mosquitto.log import BrokerLog
from becomingone.errors import LinkError
from becomingone.scheduling import NANOSECONDS, Clock

START_S: Final = 15.0
"""Seconds within which it must listen; a small Pi that reads a large store from its card needs a few."""

STOP_S: Final = 5.0
"""Seconds for an orderly end, in which it writes what it has to keep."""


_AGAIN_S: Final = 0.25


class MosquittoChild:
    """One supervised Mosquitto.

    Parameters
    ----------
    command : sequence of str
        The program, by its full path, and its arguments.
    log : BrokerLog
        Receives what it says.
    clock : Clock
        Tells how long it has lived.
    backoff : Backoff
        The pace of restarts.
    on_death : callable
        Called with a line that says what happened, each time it has ended by itself or could not be started again.

    Attributes
    ----------
    starts : int
        How often it has been started.
    """

    def __init__(
        self, command: Sequence[str], *, log: BrokerLog, clock: Clock, backoff: Backoff, on_death: Callable[[str], None]
    ) -> None:
        self.starts = 0
        self._command = tuple(command)
        self._log = log
        self._clock = clock
        self._backoff = backoff
        self._on_death = on_death
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process's number, or None while it is down."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start it and wait until it listens; from then on it is started again whenever it ends.

        Raises
        ------
        LinkError
            It ended at once, and why, or it does not listen.
        """
        await self._spawn()
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    def hang_up(self) -> None:
        """Have it read its rules, passwords and certificates anew (SIGHUP)."""
        if self._process is not None and self._log.running:  # before, it would die of the signal, and reads all anyway
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def restart(self) -> None:
        """End it and start it anew, for what it reads only at the start.

        Raises
        ------
        LinkError
            See `start`; it is then down for good.
        """
        await self.stop()
        self._stop = asyncio.Event()
        await self.start()

    async def stop(self, timeout_s: float = STOP_S) -> None:
        """Ask it to end, and make it end after `timeout_s` seconds."""
        self._stop.set()
        await self._end(timeout_s)
        if self._keeper is not None:
            await self._keeper
            self._keeper = None

    async def _spawn(self) -> None:
        self._log.begin()
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(Path(die_with_parent.__file__)), str(os.getpid()), *self._command,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        self.starts += 1
        up = asyncio.Event()
        self._reader = asyncio.get_running_loop().create_task(self._read(process, up))
        try:
            await asyncio.wait_for(up.wait(), START_S)
        except TimeoutError:
            await self._end(STOP_S)
            raise LinkError(f"Mosquitto did not listen within {START_S:g} s: {self._log.why()}") from None
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        if not self._log.running:
            await self._end(STOP_S)
            raise LinkError(f"Mosquitto could not start: {self._log.why()}")

    async def _read(self, process: asyncio.subprocess.Process, up: asyncio.Event) -> None:
        """Pass on what it says; set `up` when it listens, or has closed its output for good."""
        assert process.stdout is not None  # noqa: S101 - made with a pipe
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than the stream's buffer; the buffer is then empty
                continue
            if not line:
                break
            self._log.take(line.decode("utf-8", errors="replace"))
            if self._log.running:  # it says so once its listeners are open
                up.set()
        up.set()

    async def _end(self, timeout_s: float) -> None:
        """Tell it to end, more than once: between its last start-up line and its main loop it forgets a signal."""
        process = self._process
        if process is None:
            return
        deadline_ns = self._clock.monotonic_ns() + int(timeout_s * NANOSECONDS)
        while process.returncode is None:
            late = self._clock.monotonic_ns() >= deadline_ns
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL if late else signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _AGAIN_S)
        await self._gone()

    async def _gone(self) -> None:
        self._process = None
        if self._reader is not None:
            await self._reader
            self._reader = None

    async def _keep(self) -> None:
        """Start it again whenever it ends, until `stop`."""
        while self._process is not None:
            began_ns = self._clock.monotonic_ns()
            code = await self._process.wait()
            if self._stop.is_set():
                return
            await self._gone()
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended ({self._log.why()})"
            self._on_death(f"Mosquitto {how}; it is started again")
            self._backoff.held(self._clock.monotonic_ns() - began_ns)
            while not await self._told_to_stop(self._backoff.next_ns()):
                try:
                    await self._spawn()
                except LinkError as error:
                    if not self._stop.is_set():
                        self._on_death(f"{error}; trying again")
                    continue
                break
            if self._stop.is_set():  # while it was being started, when there was no process to end yet
                await self._end(STOP_S)

    async def _told_to_stop(self, within_ns: int) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), within_ns / NANOSECONDS)
        except TimeoutError:
            return False
        return True
