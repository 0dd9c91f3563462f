"""Refusals are told, and however many there are, never at a rate that hurts."""

from __future__ import annotations

import logging

import pytest

from becomingone.errors import FrameError
from becomingone.wire.audit import MAX_SOURCES, MAX_TEXT, OTHERS, PERIOD_NS, Audit, Report, log_to
from becomingone.wire.topics import NAME

SECOND = 1_000_000_000


class Listener:
    def __init__(self) -> None:
        self.told: list[Report] = []
        self.audit = Audit(self.told.append)

    def note(self, source: str = "n", reason: str = "forged", *, at_s: float = 0.0, topic: str = "t/n") -> None:
        self.audit.note(source, topic, FrameError(reason, "what was found"), int(at_s * SECOND))

    def take(self) -> list[tuple[str, str, int]]:
        told = [(report.source, report.reason, report.count) for report in self.told]
        self.told.clear()
        return told


def test_the_first_is_told_at_once_and_the_rest_once_a_minute() -> None:
    listener = Listener()
    listener.note()
    assert listener.take() == [("n", "forged", 1)]
    for tenth in range(1, 600):
        listener.note(at_s=tenth / 10)
    assert listener.take() == []
    listener.note(at_s=60.0)
    assert listener.take() == [("n", "forged", 600)]


def test_a_flood_that_ends_is_told_of_all_the_same() -> None:
    listener = Listener()
    for at in range(5):
        listener.note(at_s=at)
    assert listener.take() == [("n", "forged", 1)]
    listener.audit.flush(59 * SECOND)
    assert listener.take() == []
    listener.audit.flush(60 * SECOND)
    assert listener.take() == [("n", "forged", 4)]
    listener.audit.flush(600 * SECOND)
    assert listener.take() == []


def test_each_source_and_reason_is_told_for_itself() -> None:
    listener = Listener()
    for source in ("a", "b"):
        for reason in ("forged", "late"):
            listener.note(source, reason)
            listener.note(source, reason)
    assert listener.take() == [("a", "forged", 1), ("a", "late", 1), ("b", "forged", 1), ("b", "late", 1)]


def test_any_number_of_sources_is_a_bounded_number_of_lines() -> None:
    listener = Listener()
    for number in range(10_000):
        listener.note(f"s{number}")
    told = listener.take()
    assert len(told) == MAX_SOURCES + 1
    assert told[-1] == (OTHERS, "forged", 1)
    assert not NAME.fullmatch(OTHERS)  # no node's name
    listener.audit.flush(PERIOD_NS)
    assert listener.take() == [(OTHERS, "forged", 10_000 - MAX_SOURCES - 1)]
    listener.audit.flush(3 * PERIOD_NS)
    listener.note("new", at_s=200.0)  # there is room again
    assert listener.take() == [("new", "forged", 1)]
    assert len(listener.audit._kinds) == 1


def test_a_source_that_is_told_of_keeps_its_place_in_a_flood() -> None:
    listener = Listener()
    listener.note("n", "late")
    for number in range(1000):
        listener.note(f"s{number}")
    listener.take()
    listener.note("n", "forged")
    assert listener.take() == [("n", "forged", 1)]


@pytest.mark.parametrize(
    ("text", "shown"), [("a\nWARNING all is well", r"a\nWARNING all is well"), ("a\x1b[2Jb", r"a\x1b[2Jb"), ("µ", "µ")]
)
def test_a_stranger_s_text_stays_on_its_line(text: str, shown: str) -> None:
    listener = Listener()
    listener.audit.note("n", text, FrameError("forged", text), 0)
    (report,) = listener.told
    assert (report.topic, report.detail) == (shown, shown)
    assert str(report) == f"n: a message refused as forged, the last on {shown}: {shown}"


def test_a_long_text_is_cut() -> None:
    listener = Listener()
    listener.note(topic="x" * 60_000)
    assert listener.told[0].topic == "x" * MAX_TEXT


def test_a_forgery_is_a_warning_and_the_rest_information(caplog: pytest.LogCaptureFixture) -> None:
    audit = Audit(log_to(logging.getLogger("becomingone.test")))
    with caplog.at_level(logging.INFO):
        for reason in ("forged", "unsealed", "late"):
            audit.note("n", "t", FrameError(reason, "so"), 0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO"]
    assert caplog.messages[0] == "n: a message refused as forged, the last on t: so"
