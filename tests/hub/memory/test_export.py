"""What was exported is read back as it was, by pyxdf and by csv."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from becomingone.hub.memory.export import export
from becomingone.hub.memory.export_rows import FIGURES, Where, iso
from becomingone.hub.memory.protocol import Record
from becomingone.wire.frame import decode_frame

from .remembering import BANDS, START_US, Listed, Walk, kept, recorder, run

pyxdf = pytest.importorskip("pyxdf")

SECOND = 1_000_000
PLAN = {band.name: band for band in BANDS}


def remembered() -> Listed:
    memory, walk = Listed(), Walk(1)
    made = recorder(memory, walk, flush_s=0)
    run(made, walk, START_US, START_US + 30 * SECOND)
    made.event("7-1", "emergence", START_US + 10 * SECOND, {"band": "stride", "nodes": ["a", "ß"]})
    made.event("7-2", "lost", START_US + 11 * SECOND, {"node": "a"})
    made.close()
    rng = np.random.default_rng(2)
    for channel in ("leg", "arm"):
        for seq in range(20):
            phases = rng.uniform(-3.0, 3.0, 10)
            memory.kept.append(kept(seq, START_US + seq * SECOND, phases, channel=channel))
    return memory


def where(memory: Listed, *, band: str | None = None, end_us: int = START_US + 60 * SECOND) -> Where:
    return Where(memory, START_US, end_us, PLAN, "home", band)


def test_pyxdf_reads_what_was_written(tmp_path: Path) -> None:
    memory = remembered()
    done = export(where(memory), tmp_path / "walk.xdf", "xdf", ("frames", "figures", "events"))
    assert (done.samples, done.events) == (400, 2)
    streams, header = pyxdf.load_xdf(tmp_path / "walk.xdf")
    assert header["info"]["version"] == ["1.0"]
    by_name = {stream["info"]["name"][0]: stream for stream in streams}
    assert set(by_name) == {"events", "stride", "breath", "n0/stride/leg", "n0/stride/arm"}

    leg = by_name["n0/stride/leg"]
    frames = [decode_frame(record.frame) for record in memory.kept if record.stream.channel == "leg"]
    assert np.array_equal(leg["time_series"][:, 0], np.concatenate([frame.phasors.real for frame in frames]))
    assert np.array_equal(leg["time_series"][:, 1], np.concatenate([frame.phasors.imag for frame in frames]))
    times = np.concatenate([frame.time_us + np.arange(10) * frame.spacing_us for frame in frames]) / 1e6
    assert np.abs(leg["time_stamps"] - times).max() < 1e-6
    about = leg["info"]["desc"][0]
    assert (about["cell"], about["node"], about["band"]) == (["home"], ["n0"], ["stride"])
    assert float(about["frequency_hz"][0]) == 0.78
    assert float(about["tau_s"][0]) == 1.0
    assert [channel["unit"][0] for channel in about["channels"][0]["channel"]] == ["1", "1", "0..1"]
    assert int(leg["footer"]["info"]["sample_count"][0]) == 200
    assert leg["clock_values"] == [0.0, 0.0]

    stride = by_name["stride"]
    entries = [entry.body["bands"]["stride"] for entry in memory.of("mesh") if "stride" in entry.body["bands"]]
    column = list(FIGURES).index("coherence")
    assert stride["time_series"][:, column].tolist() == [body["coherence"] for body in entries]
    assert np.isnan(stride["time_series"][:, list(FIGURES).index("locking")]).all()

    events = by_name["events"]
    assert [json.loads(row[0])["id"] for row in events["time_series"]] == ["7-1", "7-2"]
    assert json.loads(events["time_series"][0][0])["nodes"] == ["a", "ß"]
    assert events["time_stamps"][0] == pytest.approx((START_US + 10 * SECOND) / 1e6, abs=1e-6)


def test_csv_says_its_units_and_holds_each_sample(tmp_path: Path) -> None:
    memory = remembered()
    export(where(memory), tmp_path / "frames.csv", "csv", ("frames",))
    with (tmp_path / "frames.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 400
    first = decode_frame(memory.kept[0].frame)
    legs = [row for row in rows if row["channel"] == "leg"]
    phasors = [complex(float(row["re [1]"]), float(row["im [1]"])) for row in legs[:10]]
    assert np.array_equal(np.array(phasors).astype(np.complex64), first.phasors)
    assert legs[3]["time [us]"] == str(START_US + 300_000)
    assert legs[3]["time [UTC]"] == "2023-11-14T22:13:20.300000Z"
    assert float(legs[3]["phase [rad]"]) == pytest.approx(np.angle(first.phasors[3]), abs=1e-5)
    assert legs[3]["coherence [0..1]"] == "0.800000012"

    export(where(memory), tmp_path / "figures.csv", "csv", ("figures",))
    with (tmp_path / "figures.csv").open(newline="", encoding="utf-8") as file:
        figures = list(csv.DictReader(file))
    assert {row["band"] for row in figures} == {"stride", "breath"}
    assert figures[0]["locking [0..1]"] == ""
    assert figures[0]["collapsed [0/1]"] == "0"
    export(where(memory, band="breath"), tmp_path / "events.csv", "csv", ("events",))
    assert (tmp_path / "events.csv").read_text("utf-8").count("\n") == 1


def test_the_same_memory_gives_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for number in range(2):
        for kind in ("csv", "xdf"):
            path = tmp_path / f"{number}.{kind}"
            export(where(remembered()), path, kind, ("frames",) if kind == "csv" else ("frames", "figures", "events"))
            files.append(path.read_bytes())
    assert files[:2] == files[2:]


class _Broken(Listed):
    def frames(self, start_us: int, end_us: int, **_only: str | None) -> Iterator[Record]:
        yield from list(super().frames(start_us, end_us))[:3]
        raise OSError(5, "the disk")


def test_what_fails_halfway_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    memory = _Broken()
    memory.kept = remembered().kept
    (tmp_path / "out.csv").write_text("older")
    with pytest.raises(OSError, match="the disk"):
        export(where(memory), tmp_path / "out.csv", "csv", ("frames",))
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == "older"


def test_frames_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    memory = remembered()
    memory.kept[3] = memory.kept[3]._replace(frame=b"\xff\x00")
    done = export(where(memory), tmp_path / "out.xdf", "xdf", ("frames",))
    assert done.samples == 390
    assert done.unreadable.total() == 1
    assert len(pyxdf.load_xdf(tmp_path / "out.xdf")[0]) == 2


class _Long(Listed):
    """So many frames as no list should hold."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self._frames = frames

    def frames(self, start_us: int, end_us: int, **_only: str | None) -> Iterator[Record]:
        del end_us
        one = kept(0, start_us, np.linspace(0.0, 6.0, 1000).tolist())
        for number in range(self._frames):
            yield one._replace(seq=number, stream=one.stream._replace(channel=f"c{number % 30}"))


def test_a_long_export_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    peaks = []
    for frames in (60, 600):
        tracemalloc.start()
        done = export(where(_Long(frames)), tmp_path / "long.xdf", "xdf", ("frames",))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert done.samples == 1000 * frames
    assert peaks[1] < 1.5 * peaks[0]


def test_times_are_told_in_utc_to_the_microsecond() -> None:
    assert iso(1_700_000_000_000_001) == "2023-11-14T22:13:20.000001Z"
