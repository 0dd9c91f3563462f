"""Room and time: the oldest go in one piece, and what remains still verifies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from becomingone.hub.memory.section import KeepSection, MemorySection
from becomingone.hub.memory.verify import verify

from .posts import SIGNER, STREAM, Rig, rows

DAY_S = 86_400.0


def test_when_it_is_full_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    rig = Rig(path, max_mb=1.0)
    for first in range(0, 4_000, 500):
        assert rig.commit(*range(first, first + 500), size=1_000) == {STREAM: first + 499}
    assert rig.memory.figures()["bytes"] <= 1e6
    rig.close()
    kept = [row[4] for row in rows(path)]
    assert 500 < len(kept) < 1_000
    assert kept == list(range(4_000 - len(kept), 4_000))
    findings = verify(path, key=SIGNER.public_key)
    assert findings.ok, findings.damage
    assert findings.gone == {"frame": 4_000 - len(kept)}
    again = Rig(path)
    assert again.memory.marks() == {STREAM: 3_999}
    again.close()


def test_the_file_does_not_grow_beyond_its_room_however_long_it_goes_on(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db", max_mb=1.0)
    sizes = []
    for first in range(0, 20_000, 400):
        rig.commit(*range(first, first + 400), size=500)
        sizes.append(rig.path.stat().st_size)
    assert max(sizes) < 1.6e6  # a commit of 0.2 MB may be on top of the room, and its log's pages
    rig.close()
    assert verify(rig.path).ok


def test_the_file_shrinks_when_its_room_does(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    rig = Rig(path, max_mb=20.0)
    for first in range(0, 10_000, 1_000):
        rig.commit(*range(first, first + 1_000), size=1_000)
    rig.close()
    before = path.stat().st_size
    assert before > 10e6
    rig = Rig(path, max_mb=2.0)
    for seq in range(10_000, 10_040):
        rig.commit(seq)
    rig.close()
    assert path.stat().st_size < 0.4 * before
    assert verify(path).ok


def test_what_takes_little_room_stays_when_frames_have_to_go(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db", max_mb=1.0)
    for number in range(50):
        rig.remember("event", number, n=number)
    for first in range(0, 4_000, 500):
        rig.commit(*range(first, first + 500), size=1_000)
    rig.close()
    findings = verify(rig.path)
    assert findings.ok
    assert findings.records["event"] == 50


def live(rig: Rig, days: int, kinds: dict[str, int]) -> None:
    """Let days pass, with so many entries a day."""
    for seq in range(days):
        for kind, count in kinds.items():
            for _ in range(count):
                rig.remember(kind, rig.posts.time_us(), text="x" * 50)
        rig.commit(seq)
        rig.posts.run_for(DAY_S)


@pytest.mark.parametrize("days", [3.0, 10.0])
def test_what_was_kept_for_its_days_goes(tmp_path: Path, days: float) -> None:
    rig = Rig(tmp_path / "memory.db", keep_days={"mesh": days}, max_mb=1000.0)
    live(rig, 40, {"mesh": 200, "event": 10})
    rig.close()
    findings = verify(rig.path)
    assert findings.ok, findings.damage
    assert findings.records["event"] == 400
    assert 200 * days <= findings.records["mesh"] <= 200 * (days + 2) + 40
    assert findings.records["mesh"] + findings.gone["mesh"] == 8_000


def test_the_newest_of_a_kind_stays_however_old(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db", keep_days={"tier": 1.0})
    rig.remember("tier", rig.posts.time_us(), state=1)
    live(rig, 10, {"event": 1})
    reader = rig.memory.reader()
    tier = reader.last("tier")
    assert tier is not None
    assert tier.body == {"state": 1}
    reader.close()
    rig.close()


def test_a_few_times_from_the_future_hold_up_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db", keep_days={"mesh": 3.0})
    for _ in range(3):
        rig.remember("mesh", 1 << 60, text="a clock that was wrong")
    live(rig, 20, {"mesh": 200})
    rig.close()
    findings = verify(rig.path)
    assert findings.ok
    assert findings.gone["mesh"] > 2_000


def test_a_clock_that_began_in_1970_gives_up_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db", keep_days={"mesh": 3.0})
    live(rig, 2, {"mesh": 200})
    for _ in range(100):
        rig.remember("mesh", 1_000_000, text="before the time was known")
    rig.commit(10)
    rig.posts.run_for(0.5 * DAY_S)
    rig.commit(11)
    rig.close()
    assert verify(rig.path).gone == {}


def test_streams_of_which_nothing_is_left_go_with_their_frames(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db", max_mb=1.0)
    for boot in range(1, 60):
        rig.commit(*range(50), stream=STREAM._replace(boot=boot), size=1_000)
    rig.close()
    again = Rig(rig.path, max_mb=1.0)
    again.commit(0, stream=STREAM._replace(boot=60))
    ledger = again.memory._writer._ledger
    assert ledger is not None
    streams = ledger.database.execute("SELECT count(*) FROM streams").fetchone()[0]
    again.close()
    assert streams < 40
    assert verify(rig.path).ok


def test_unless_told_otherwise_only_what_is_replaced_or_repeats_itself_goes_by_time() -> None:
    keep: dict[str, Any] = {kind: KeepSection().days(kind) for kind in (*KeepSection.model_fields, "another")}
    stay = {kind for kind, days in keep.items() if days is None}
    assert stay == {"frame", "event", "witness", "signature", "another"}


@pytest.mark.parametrize(
    "wrong", [{"max_mb": 0}, {"commit_s": 0}, {"keep_days": {"mesh": 0}}, {"keep_days": {"meshes": 1}}, {"room": 1}]
)
def test_a_wrong_section_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MemorySection.model_validate(wrong)
