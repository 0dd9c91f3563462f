"""A part of the mesh as a child process that is started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from becomingone.broker.backoff import Backoff
from becomingone.cli.exits import Exit
from becomingone.errors import BecomingOneError


class ChildError(BecomingOneError, RuntimeError):
    """A child process that cannot be kept running."""


class Child:
    """One supervised process.

    Parameters
    ----------
    name : str
        The node's id, or ``hub``.
    arguments : list of str
        ``node run FILE``, as one would type them.
    log : Path
        Receives everything that the process prints.
    backoff : Backoff
        The pace of restarts.
    on_death : callable
        Called with a line that says what happened, each time the process has ended by itself.
    """

    def __init__(
        self, name: str, arguments: list[str], *, log: Path, backoff: Backoff, on_death: Callable[[str], None]
    ) -> None:
        self.name = name
        self.log = log
        self.starts = 0
        self._arguments = arguments
        self._backoff = backoff
        self._on_death = on_death
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The process's number, or None while it is down."""
        return self._process.pid if self._process is not None else None

    async def run(self) -> None:
        """Keep the process running until `stop`.

        Raises
        ------
        ChildError
            When it refuses its configuration: starting it again would change nothing.
        """
        while not self._told_to_stop():
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "becomingone", *self._arguments, "--stop-with-stdin",
                    stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            if self._told_to_stop():  # while it was being started, when there was no process to tell
                self._process.terminate()
            self.starts += 1
            began = asyncio.get_running_loop().time()
            code = await self._process.wait()
            self._process = None
            if self._told_to_stop():
                return
            if code == Exit.BAD_INPUT:
                raise ChildError(f"{self.name} refused its configuration: {self._last_line()}")
            if asyncio.get_running_loop().time() - began > 10 * self._backoff.cap_s:
                self._backoff.succeeded()
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            self._on_death(f"{self.name} {how}; it is started again")
            await asyncio.sleep(self._backoff.next_ns() / 1e9)

    def _told_to_stop(self) -> bool:
        return self._stopping

    async def stop(self, timeout_s: float) -> None:
        """Ask the process to end, and make it end after `timeout_s` seconds."""
        self._stopping = True
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), timeout_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _last_line(self) -> str:
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"
