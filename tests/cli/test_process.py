"""How a part lives and ends as a process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable

import pytest

from becomingone.cli import process
from becomingone.scheduling import NANOSECONDS, LoopScheduler, Repeating


class Faulty:
    """Raises in each of its first `most` turns, and then calls `then`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, most: int, then: Callable[[], None]) -> None:
        self.turns = 0
        self.stopped = False
        self._scheduler = LoopScheduler(loop)
        self._most = most
        self._then = then

    def start(self) -> None:
        self._pace = Repeating(self._scheduler, NANOSECONDS // 1000, self._turn)

    def stop(self, done: Callable[[], None]) -> None:
        self._pace.cancel()
        self.stopped = True
        done()

    def _turn(self) -> None:
        self.turns += 1
        if self.turns <= self._most:
            raise ZeroDivisionError
        if self.turns == self._most + 1:  # once: told twice, a part ends its whole process, and that is ours
            self._then()


def test_a_part_lives_through_a_few_bugs_and_tells_them(caplog: pytest.LogCaptureFixture) -> None:
    made: list[Faulty] = []

    def make(loop: asyncio.AbstractEventLoop) -> Faulty:
        made.append(Faulty(loop, most=3, then=lambda: os.kill(os.getpid(), signal.SIGTERM)))
        return made[0]

    with caplog.at_level(logging.ERROR):
        assert process.run(make) == 0
    assert made[0].turns >= 4
    assert made[0].stopped
    assert sum("a bug" in record.message and record.exc_info is not None for record in caplog.records) == 3


def test_a_part_that_does_nothing_but_fail_ends() -> None:
    made: list[Faulty] = []

    def make(loop: asyncio.AbstractEventLoop) -> Faulty:
        made.append(Faulty(loop, most=10**6, then=lambda: None))
        return made[0]

    assert process.run(make) == 1
    assert made[0].turns >= process.MOST_FAULTS
    assert made[0].stopped


def test_the_end_of_standard_input_can_end_it(mocker) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        mocker.patch("sys.stdin", stdin)
        closer = threading.Timer(0.05, os.close, [writing])
        closer.start()
        assert process.run(lambda loop: Faulty(loop, most=0, then=lambda: None), stop_with_stdin=True) == 0
        closer.join()
