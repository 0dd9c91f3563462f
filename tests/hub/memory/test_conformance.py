"""What every memory does, whichever database it lives in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from becomingone.hub.memory.protocol import LIVES, Entry, Memory, Record, StreamKey
from becomingone.hub.memory.section import MemorySection
from becomingone.hub.memory.store import SqliteMemory
from becomingone.hub.memory.volatile import VolatileMemory

from .posts import SIGNER, STREAM, Posts

OTHER = StreamKey("hall", "breath", "chest", 1)
END = 1 << 62


class Kept:
    """A memory, and what is needed to use it; `again` is its next life."""

    def __init__(self, make: Callable[[Posts, MemorySection], Memory], **section: Any) -> None:
        self.posts = Posts()
        self._make = make
        self.section = MemorySection.model_validate({"commit_s": 0.01, **section})
        self.memory = make(self.posts, self.section)
        self.told: list[Mapping[StreamKey, int] | None] = []

    def commit(self, *seqs: int, stream: StreamKey = STREAM) -> None:
        records = [Record(stream, seq, 1_000 * seq, b"frame %d" % seq) for seq in seqs]
        before = len(self.told)
        self.memory.commit(records, {stream: seqs[-1]}, self.told.append)
        assert len(self.told) == before  # in a turn of its own
        while len(self.told) == before:
            self.posts.turn()

    def again(self) -> None:
        self.memory.close()
        self.posts.look()
        self.memory = self._make(self.posts, self.section)


Make = Callable[..., Kept]


@pytest.fixture(params=["sqlite", "volatile"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    made: list[Kept] = []
    volatile: list[VolatileMemory] = []

    def memory(posts: Posts, section: MemorySection) -> Memory:
        if request.param == "sqlite":
            return SqliteMemory(tmp_path / "memory.db", posts, section=section, signer=SIGNER, boot=1)
        if not volatile:
            volatile.append(VolatileMemory(posts, section=section))
        return volatile[0]

    def kept(**section: Any) -> Kept:
        made.append(Kept(memory, **section))
        return made[-1]

    yield kept
    for one in made:
        one.memory.close()


def test_what_was_committed_is_there_for_the_next_life(make: Make) -> None:
    kept = make()
    assert kept.memory.marks() == {}
    kept.commit(0, 1, 2)
    assert kept.told == [{STREAM: 2}]
    kept.again()
    assert kept.memory.marks() == {STREAM: 2}
    reader = kept.memory.reader()
    assert [record.seq for record in reader.frames(0, END)] == [0, 1, 2]
    reader.close()


def test_nothing_is_there_twice_and_no_mark_goes_back(make: Make) -> None:
    kept = make()
    kept.commit(0, 1, 2)
    kept.commit(0, 1)
    kept.commit(5, 4, 4)
    kept.again()
    assert kept.memory.marks() == {STREAM: 4}
    reader = kept.memory.reader()
    assert [record.seq for record in reader.frames(0, END)] == [0, 1, 2, 4, 5]
    reader.close()


def test_entries_are_committed_with_the_next_batch(make: Make) -> None:
    kept = make(commit_s=60.0)
    assert kept.memory.append("event", 7, {"b": [1, None, "ö"], "a": 0.1})
    assert kept.memory.append("mesh", 3, {})
    assert kept.memory.append("event", 5, {"a": True})
    kept.commit(0)
    reader = kept.memory.reader()
    assert list(reader.entries("event", 0, END)) == [
        Entry(2, "event", 5, {"a": True}),
        Entry(1, "event", 7, {"a": 0.1, "b": [1, None, "ö"]}),
    ]
    assert list(reader.entries("event", 5, 7)) == [Entry(2, "event", 5, {"a": True})]  # from, and not to
    assert list(reader.entries("event", 0, END, limit=1)) == [Entry(2, "event", 5, {"a": True})]
    assert list(reader.entries("witness", 0, END)) == []
    assert reader.last("event") == Entry(2, "event", 5, {"a": True})  # the one that came last
    assert reader.last("witness") is None
    reader.close()


def test_entries_alone_are_committed_after_a_while(make: Make) -> None:
    kept = make()
    assert kept.memory.append("event", 1, {"a": 1})
    kept.posts.run_for(1.0)
    for _ in range(2_000):
        if (reader := kept.memory.reader()).last("event") is not None:
            break
        reader.close()
        kept.posts._posted.acquire(timeout=0.01)
    assert reader.last("event") == Entry(1, "event", 1, {"a": 1})
    reader.close()


def test_entries_that_wait_are_committed_at_the_end(make: Make) -> None:
    kept = make(commit_s=60.0)
    assert kept.memory.append("event", 1, {"a": 1})
    kept.again()
    reader = kept.memory.reader()
    assert reader.last("event") == Entry(1, "event", 1, {"a": 1})
    reader.close()


def test_what_waits_is_bounded_and_what_is_dropped_is_counted(make: Make) -> None:
    kept = make(commit_s=60.0, queue_entries=10)
    assert [kept.memory.append("event", n, {}) for n in range(12)] == [True] * 10 + [False] * 2
    assert kept.memory.figures()["refused"] == 2
    assert kept.memory.figures()["waiting"] == 10
    kept.commit(0)
    assert kept.memory.append("event", 12, {})


def test_its_bytes_are_bounded_too(make: Make) -> None:
    kept = make(commit_s=60.0, queue_mb=0.01)
    body = {"a": "x" * 4_000}
    assert [kept.memory.append("event", n, body) for n in range(3)] == [True, True, False]
    kept.commit(0)
    assert kept.memory.append("event", 3, body)


@pytest.mark.parametrize("body", [{"a": math.nan}, {"a": math.inf}, {"a": b"bytes"}, {"a": "\ud800"}])
def test_what_json_cannot_hold_is_a_bug_of_the_caller_and_spoils_no_batch(make: Make, body: dict[str, Any]) -> None:
    kept = make()
    with pytest.raises((TypeError, ValueError)):
        kept.memory.append("event", 0, body)
    kept.commit(0)
    assert kept.told == [{STREAM: 0}]


@pytest.mark.parametrize("kind", ["frame", "checkpoint", "", "Event", "a b", "x" * 33])
def test_what_is_no_kind_is_a_bug_of_the_caller(make: Make, kind: str) -> None:
    with pytest.raises(ValueError, match="a kind of entry"):
        make().memory.append(kind, 0, {})


def test_frames_are_found_by_time_and_by_whose_they_are(make: Make) -> None:
    kept = make()
    kept.commit(*range(10))
    kept.commit(2, 3, stream=OTHER)
    reader = kept.memory.reader()
    assert [record.time_us for record in reader.frames(2_000, 4_000)] == [2_000, 2_000, 3_000, 3_000]
    assert [record.seq for record in reader.frames(0, END, node="hall")] == [2, 3]
    assert [record.seq for record in reader.frames(0, END, band="stride", channel="leg")] == list(range(10))
    assert list(reader.frames(0, END, band="stride", node="hall")) == []
    assert next(reader.frames(3_000, END, node="hall")) == Record(OTHER, 3, 3_000, b"frame 3")
    reader.close()


def test_more_than_a_page_is_read_in_order(make: Make) -> None:
    kept = make()
    kept.commit(*range(4_500))
    for n in range(4_100):
        kept.memory.append("mesh", n // 3, {"n": n})
    kept.commit(4_500)
    reader = kept.memory.reader()
    assert [record.seq for record in reader.frames(0, END)] == list(range(4_501))
    assert [entry.body["n"] for entry in reader.entries("mesh", 0, END)] == list(range(4_100))
    assert [entry.body["n"] for entry in reader.entries("mesh", 0, END, limit=3_000)] == list(range(3_000))
    reader.close()


def test_the_summary_says_what_there_is(make: Make) -> None:
    kept = make()
    kept.commit(3, 4)
    kept.memory.append("event", 9, {})
    kept.commit(5)
    reader = kept.memory.reader()
    summary = reader.summary()
    assert {name: summary["frame"][name] for name in ("records", "from_us", "to_us", "gone")} == {
        "records": 3, "from_us": 3_000, "to_us": 5_000, "gone": 0,
    }  # fmt: skip
    assert summary["event"]["records"] == 1
    reader.close()


def test_figures_can_be_published_and_name_the_same_things(make: Make) -> None:
    kept = make()
    assert kept.memory.figures()["age_s"] is None
    kept.commit(0)
    figures = kept.memory.figures()
    assert figures["commits"] == 1
    assert set(figures) == {
        "records", "bytes", "commits", "age_s", "commit_ms", "waiting", "refused", "failures", "damaged", "saved",
        "lost", "fault", "checkpoint", "head",
    }  # fmt: skip


def test_marks_of_lives_long_past_are_forgotten(make: Make) -> None:
    kept = make()
    streams = [STREAM._replace(boot=boot) for boot in range(1, 41)]
    for stream in streams:
        kept.commit(0, stream=stream)
    kept.again()
    assert kept.memory.marks() == dict.fromkeys(streams[-LIVES:], 0)
    reader = kept.memory.reader()
    assert reader.summary()["frame"]["records"] == 40  # the frames themselves stay
    reader.close()
