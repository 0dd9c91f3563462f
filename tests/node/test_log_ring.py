"""The log: bounded, without secrets, with priorities where journald reads it."""

import io
import logging
import os
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from becomingone.node.config import NodeConfig
from becomingone.node.log_ring import LONGEST, MOST_LINES, LineFormatter, Log, LogRing, is_journal, secrets_of


@pytest.fixture(autouse=True)
def root_logger() -> Generator[logging.Logger, None, None]:
    root = logging.getLogger()
    before, level = [*root.handlers], root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)


def record(text: str, level: int = logging.INFO, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("becomingone.x", level, "", 0, text, (), None)
    made.__dict__.update(more)
    return made


def test_the_ring_keeps_the_last_lines() -> None:
    ring = LogRing(3)
    for number in range(10):
        ring.emit(record(f"line {number}"))
    assert [line[-6:] for line in ring.lines(10)] == ["line 7", "line 8", "line 9"]
    assert [line[-6:] for line in ring.lines(2)] == ["line 8", "line 9"]
    assert ring.lines(0) == ()
    ring.resize(2)
    assert len(ring.lines(10)) == 2


def test_lines_are_bounded_and_hold_no_control_characters() -> None:
    lines = LineFormatter().lines(record("a\x1b[31mred\x00\tb\u202e" + "x" * 10_000))
    assert len(lines) == 1
    assert len(lines[0]) < LONGEST + 40
    assert lines[0].endswith("more)")
    assert lines[0].isprintable()


def test_a_traceback_is_several_lines_and_bounded() -> None:
    def deep(depth: int) -> None:
        if depth:
            deep(depth - 1)
        raise ZeroDivisionError("on purpose")

    ring = LogRing(1000)
    try:
        deep(200)
    except ZeroDivisionError:
        ring.emit(record("failed", logging.ERROR, exc_info=sys.exc_info()))
    lines = ring.lines(1000)
    assert 3 < len(lines) <= MOST_LINES + 1
    assert "failed" in lines[0]
    assert lines[-1] == "ZeroDivisionError: on purpose"


def test_secrets_are_hidden_wherever_they_stand() -> None:
    formatter = LineFormatter(["hunter2", "hunter2-long", "abc"])
    formatter.hide(["swordfish"])
    (line,) = formatter.lines(record("%s hunter2-long hunter2 swordfish abc", args=("hunter2",)))
    assert line.endswith("(secret) (secret) (secret) (secret) abc")  # what is shorter than 4 characters is no secret


def test_secrets_are_found_at_every_depth() -> None:
    class Inner(BaseModel):
        many: tuple[SecretStr, ...]
        named: dict[str, SecretBytes]

    class Outer(BaseModel):
        one: SecretStr
        inner: Inner
        plain: str = "plain"

    outer = Outer(one=SecretStr("first"), inner=Inner(many=(SecretStr("second"),), named={"x": SecretBytes(b"third")}))
    assert secrets_of(outer) == {"first", "second", "third"}
    key = os.urandom(32).hex()
    broker = {"username": "kitchen", "password": "hunter2"}
    config = NodeConfig.model_validate({"node": "kitchen", "broker": broker, "security": {"key": key}})
    assert secrets_of(config) == {"hunter2", key}


def test_journald_gets_a_priority_on_every_line_and_no_time() -> None:
    formatter = LineFormatter(priority=True)
    levels = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
    for name, priority in levels.items():
        text = formatter.format(record("one\ntwo", getattr(logging, name)))
        assert text == f"<{priority}>{name} becomingone.x: one\n<{priority}>two"


def test_the_journal_is_known_by_its_device_and_inode(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as stream:
        found = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
        assert not is_journal(stream, {})
    assert not is_journal(stream, {"JOURNAL_STREAM": "1:1"})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": "1:1"})


def test_the_log_goes_to_the_stream_and_the_ring_and_its_level_can_be_changed(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    log = Log(stream, {})
    assert len(root_logger.handlers) == 2
    logger = logging.getLogger("becomingone.test")
    logger.info("early")
    log.configure(level="WARNING", lines=2, secrets=["hunter2"])
    logger.info("unheard")
    logger.warning("the password is hunter2")
    log.level("debug")
    logger.debug("heard")
    assert "unheard" not in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert [line.split(": ")[-1] for line in log.ring.lines(9)] == ["the password is (secret)", "heard"]
    with pytest.raises(ValueError, match="LOUD"):
        log.level("loud")


def test_threads_may_log_while_the_ring_is_read() -> None:
    ring = LogRing(50)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            ring.handle(record("x"))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            assert len(ring.lines(100)) <= 50
            ring.resize(50)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
