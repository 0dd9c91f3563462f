"""Where a device's calls run: in a thread that holds up nobody."""

from __future__ import annotations

import asyncio
import errno
import queue
import threading
from collections.abc import Callable

import pytest

from becomingone.runner import DirectRunner, InlineRunner, ThreadRunner
from becomingone.scheduling import LoopScheduler
from becomingone.sim.clock import VirtualScheduler

WAIT_S = 10.0
"""How long a test waits before it fails; nothing takes this long."""


class Posts(VirtualScheduler):
    """A scheduler whose posts wait for the test's own thread; `ended` makes it refuse them, as an ended loop does."""

    def __init__(self) -> None:
        super().__init__()
        self.posted: queue.Queue[Callable[[], None]] = queue.Queue()
        self.ended = False

    def post(self, callback: Callable[[], None]) -> None:
        if self.ended:
            msg = "Event loop is closed"
            raise RuntimeError(msg)
        self.posted.put(callback)

    def turn(self) -> None:
        self.posted.get(timeout=WAIT_S)()


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_work_runs_in_a_thread_and_its_outcome_in_the_scheduler() -> None:
    posts = Posts()
    runner = ThreadRunner(posts, "device one")
    outcomes: list[tuple[object, BaseException | None, str]] = []
    runner.submit(
        lambda: threading.current_thread().name, lambda r, e: outcomes.append((r, e, threading.current_thread().name))
    )
    posts.turn()
    assert outcomes == [("device one", None, threading.current_thread().name)]
    runner.close()


def test_an_error_is_an_outcome() -> None:
    posts = Posts()
    runner = ThreadRunner(posts, "device two")
    outcomes: list[tuple[object, BaseException | None]] = []
    error = OSError("bus")

    def fail() -> object:
        raise error

    runner.submit(fail, lambda r, e: outcomes.append((r, e)))
    runner.submit(lambda: 5, lambda r, e: outcomes.append((r, e)))  # the thread goes on
    posts.turn()
    posts.turn()
    assert outcomes == [(None, error), (5, None)]
    runner.close()


def test_work_that_blocks_holds_up_neither_caller_nor_process() -> None:
    posts = Posts()
    runner = ThreadRunner(posts, "device three")
    begun, release = threading.Event(), threading.Event()
    order: list[object] = []

    def block() -> object:
        begun.set()
        return release.wait(WAIT_S)

    runner.submit(block, lambda r, _e: order.append(r))
    runner.submit(lambda: "after", lambda r, _e: order.append(r))
    runner.close()
    assert begun.wait(WAIT_S)
    assert posts.posted.empty()  # we are here, and it still waits
    (thread,) = threads("device three")
    assert thread.daemon
    release.set()
    posts.turn()
    posts.turn()
    assert order == [True, "after"]  # what was submitted before the end is still done
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_nothing_runs_after_close() -> None:
    posts = Posts()
    runner = ThreadRunner(posts, "device four")
    runner.submit(lambda: 1, lambda _r, _e: None)
    (thread,) = threads("device four")
    runner.close()
    ran: list[int] = []
    runner.submit(lambda: ran.append(1), lambda _r, _e: None)
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert threads("device four") == []
    assert ran == []


def test_a_thread_that_has_nothing_to_do_ends_and_another_does_what_comes_then() -> None:
    posts = Posts()
    runner = ThreadRunner(posts, "device seven", idle_s=0.01)
    assert threads("device seven") == []
    outcomes: list[object] = []
    for number in range(3):
        runner.submit(lambda number=number: number, lambda r, _e: outcomes.append(r))
        for thread in threads("device seven"):
            thread.join(WAIT_S)
            assert not thread.is_alive()
        posts.turn()
    assert outcomes == [0, 1, 2]
    runner.close()


def test_what_never_blocks_is_done_at_once() -> None:
    outcomes: list[tuple[object, object]] = []
    DirectRunner().submit(lambda: 5, lambda r, e: outcomes.append((r, e)))
    assert outcomes == [(5, None)]


def test_an_outcome_that_nobody_waits_for_ends_the_thread_in_silence() -> None:
    posts = Posts()
    posts.ended = True
    runner = ThreadRunner(posts, "device five")
    release = threading.Event()
    runner.submit(lambda: release.wait(WAIT_S), lambda _r, _e: None)
    (thread,) = threads("device five")
    release.set()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_on_an_event_loop() -> None:
    async def main() -> tuple[object, int]:
        loop = asyncio.get_running_loop()
        runner = ThreadRunner(LoopScheduler(loop), "device six")
        done: asyncio.Future[tuple[object, int]] = loop.create_future()
        runner.submit(threading.get_ident, lambda r, _e: done.set_result((r, threading.get_ident())))
        try:
            return await asyncio.wait_for(done, WAIT_S)
        finally:
            runner.close()

    worked, heard = asyncio.run(main())
    assert heard == threading.get_ident() != worked


def test_inline_work_is_done_at_once_and_told_in_the_next_turn() -> None:
    scheduler = VirtualScheduler()
    runner = InlineRunner(scheduler)
    outcomes: list[tuple[object, BaseException | None]] = []
    error = OSError("bus")

    def fail() -> object:
        raise error

    runner.submit(lambda: 1, lambda r, e: outcomes.append((r, e)))
    runner.submit(fail, lambda r, e: outcomes.append((r, e)))
    assert outcomes == []
    scheduler.run_for(0.0)
    assert outcomes == [(1, None), (None, error)]
    runner.close()


def test_work_for_which_there_is_no_thread_fails_and_the_next_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    posts = Posts()
    runner = ThreadRunner(posts, "device eight")
    outcomes: list[tuple[object, BaseException | None]] = []
    work: list[str] = []

    def no_thread(_thread: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        runner.submit(lambda: work.append("lost"), lambda r, e: outcomes.append((r, e)))
    posts.turn()
    assert [(type(error), str(error)) for _, error in outcomes] == [
        (BlockingIOError, f"[Errno {errno.EAGAIN}] can't start new thread")
    ]
    runner.submit(lambda: "done", lambda r, e: outcomes.append((r, e)))
    posts.turn()
    assert outcomes[1] == ("done", None)
    assert work == []
    runner.close()
