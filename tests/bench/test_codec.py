"""The benchmark of the codec runs, and its sizes are what the protocol promises. Never how fast."""

from __future__ import annotations

import json

from becomingone.bench import codec


def test_the_codec_is_measured() -> None:
    report = codec.run(rounds=2, calls=2)
    rows = {row.bench: row for row in report.rows}
    assert len(rows) == len(report.rows)
    assert all(row.ours > 0 and row.ratio and row.ratio > 0 for row in report.rows)
    assert json.dumps(report.as_json())
    assert {row.target for row in report.rows if row.bench.endswith("one sample")} == {
        "at most 2 x cbor2",
        "at most 96",
    }


def test_the_sizes_are_those_of_the_protocol() -> None:
    rows = {row.bench: row for row in codec.run(rounds=1, calls=1).rows}
    longest, sealed = rows["longest frame of one sample"], rows["the same with its MAC"]
    assert (longest.ours, sealed.ours) == (96, 114)
    assert longest.ok
    assert sealed.ok
    assert len(json.dumps(codec.JSON, separators=(",", ":"))) == longest.baseline == 106
