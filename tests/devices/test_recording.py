"""A replay is in step with every other replay, keeps every sample, and says where its file is wrong."""

import gzip
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from becomingone.devices.contract import Block
from becomingone.devices.recording import Device, Options
from becomingone.errors import DeviceError, DeviceUnavailableError

from .fakes import FakeClock, FakePorts

WALK = "package:walking-two-imus/upper_leg.csv"
WEATHER = "package:weather-three-airports/weather.csv.gz"


def options(file: str | Path, columns: dict[str, str] | None = None, **more: Any) -> Options:
    values = {"unit": "m", "quantity": "distance", "floor": 0.1, "rate_hz": 10.0} | more
    return Options(file=str(file), columns={"x": "x"} if columns is None else columns, **values)


def weather(**more: Any) -> Options:
    values = {"where": {"station": "EWR"}, "time_column": "time_utc", "rate_hz": 1 / 3600, "speed": 3600.0} | more
    return options(WEATHER, {"air": "temperature_degF"}, **values)


def csv_file(folder: Path, text: str) -> Path:
    file = folder / "some.csv"
    file.write_text(text)
    return file


def counting(folder: Path, rows: int = 20) -> Path:
    return csv_file(folder, "x,y\n" + "".join(f"{row},{-row}\n" for row in range(rows)))


def stamps(clock: FakeClock, blocks: list[Block]) -> dict[int, float]:
    """Mesh time in µs of every sample, for one channel."""
    found = {}
    for block in blocks:
        for k, sample in enumerate(block.samples):
            instant_us = round((block.start_ns + k * block.spacing_ns) / 1_000) + clock.offset_us
            assert instant_us not in found
            found[instant_us] = float(sample)
    return found


def replay(device: Device, clock: FakeClock, seconds: float, pace: list[float], seed: int) -> list[Block]:
    jitter = random.Random(seed)
    blocks = list(device.read())
    end_ns = clock.now_ns + round(seconds * 1e9)
    while clock.now_ns < end_ns:
        clock.advance(min(jitter.choice(pace), (end_ns - clock.now_ns) / 1e9))
        blocks += device.read()
    return blocks


def test_two_machines_are_in_step_whatever_their_pace() -> None:
    wanted = options(WALK, {"thigh": "gyr_z_rad_s"}, rate_hz=120)
    runs = []
    for monotonic_ns, pace, seed in ((7, [0.01], 1), (123_456_789_000, [0.0, 0.003, 0.4, 2.1], 2)):
        clock = FakeClock(monotonic_ns=monotonic_ns)
        device = Device(wanted, FakePorts(clock))
        runs.append(stamps(clock, replay(device, clock, 40, pace, seed)))
    one, other = runs
    assert len(one) == 40 * 120 + 1
    assert list(one.values()) == list(other.values())
    assert max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 1  # µs, the clock's own step


def test_no_sample_is_lost_or_repeated_and_the_seam_is_a_gap(tmp_path: Path) -> None:
    clock = FakeClock(mesh_us=0)
    device = Device(options(counting(tmp_path), {"x": "x", "y": "y"}), FakePorts(clock))
    blocks = replay(device, clock, 30, [0.01, 0.05, 0.9, 3.0], 3)
    for name, sign in (("x", 1), ("y", -1)):
        mine = [block for block in blocks if block.channel == name]
        values = np.concatenate([block.samples for block in mine])
        np.testing.assert_array_equal(values, sign * (np.arange(301) % 20))
        seams = [block for block in mine if block.gap]
        assert len(seams) == 15
        assert all(block.samples[0] == 0 for block in seams)
        assert not mine[0].gap


def test_sample_k_is_at_start_plus_k_spacings(tmp_path: Path) -> None:
    clock = FakeClock(mesh_us=2_000_000)
    device = Device(options(counting(tmp_path), start_us=1_000_000, rate_hz=3), FakePorts(clock))
    assert stamps(clock, device.read()) == {2_000_000: 3.0}
    clock.advance(0.7)
    assert stamps(clock, device.read()) == {2_333_333: 4.0, 2_666_667: 5.0}


def test_a_start_in_the_future_is_waited_for_and_a_pause_is_bounded(tmp_path: Path) -> None:
    clock = FakeClock(mesh_us=0)
    device = Device(options(counting(tmp_path, 1000), start_us=1_000_000), FakePorts(clock))
    assert device.read() == []
    clock.advance(1)
    assert [list(block.samples) for block in device.read()] == [[0.0]]
    clock.advance(20)
    (block,) = device.read()
    assert block.gap
    assert list(block.samples) == list(range(151, 201))


def test_without_loop_the_end_is_the_end(tmp_path: Path) -> None:
    clock = FakeClock(mesh_us=0)
    device = Device(options(counting(tmp_path), loop=False), FakePorts(clock))
    assert len(stamps(clock, replay(device, clock, 60, [0.3], 1))) == 20
    assert device.read() == []


def test_a_part_of_the_recording(tmp_path: Path) -> None:
    clock = FakeClock(mesh_us=0)
    device = Device(options(counting(tmp_path), from_s=0.3, until_s=0.7), FakePorts(clock))
    values = [value for block in replay(device, clock, 0.7, [0.05], 1) for value in block.samples]
    assert values == [3, 4, 5, 6, 3, 4, 5, 6]


def test_speed_brings_samples_closer(tmp_path: Path) -> None:
    clock = FakeClock(mesh_us=0)
    device = Device(options(counting(tmp_path), speed=4.0), FakePorts(clock))
    assert device.channels[0].rate_hz == 40
    (first,) = device.read()
    assert first.spacing_ns == 25_000_000
    clock.advance(0.25)
    assert sum(len(block.samples) for block in device.read()) == 10
    device.close()


def test_the_years_weather_has_its_missing_hours() -> None:
    clock = FakeClock(mesh_us=0)
    device = Device(weather(), FakePorts(clock))
    assert device.origin == "replayed"
    assert device.channels[0].rate_hz == 1.0
    hours = np.concatenate([block.samples for block in replay(device, clock, 8729, [1.0, 4.0], 1)])
    assert len(hours) == 8730
    assert np.isnan(hours).sum() == 8730 - 8703 + 1  # hours without a row, and one row with NA
    assert hours[:3] == pytest.approx([39.02, 39.02, 39.02])


def test_the_stations_are_on_one_grid_and_a_filter_is_needed_to_tell_them_apart() -> None:
    lengths = set()
    for station in ("EWR", "JFK", "LGA"):
        device = Device(weather(where={"station": station}), FakePorts())
        lengths.add(device._length)
    assert lengths == {8730}
    with pytest.raises(DeviceError, match="no rows with station = OSL"):
        Device(weather(where={"station": "OSL"}), FakePorts())


def test_the_grid_spans_the_whole_file_and_the_last_of_two_rows_wins(tmp_path: Path) -> None:
    text = "who,at,x\na,2.0,5\nb,1.0,9\na,2.1,6\n\na,4.0,nan\nb,2024,NA\n".replace("2024", "5.0")
    device = Device(options(csv_file(tmp_path, text), where={"who": "a"}, time_column="at", rate_hz=1), FakePorts())
    np.testing.assert_array_equal(device._source._samples, [[np.nan, 6, np.nan, np.nan, np.nan]])


def test_times_may_be_iso_with_or_without_a_zone(tmp_path: Path) -> None:
    text = "at,x\n2024-01-01 00:00:00,0\n2024-01-01T01:00:03+01:00,3\n2024-01-01T00:00:01Z,1\n"
    device = Device(options(csv_file(tmp_path, text), time_column="at", rate_hz=1), FakePorts())
    np.testing.assert_array_equal(device._source._samples, [[0, 1, np.nan, 3]])


def test_missing_markers_are_missing_samples(tmp_path: Path) -> None:
    device = Device(options(csv_file(tmp_path, "x,y\n1,\n,\n NA ,\nnan,\nNaN,\n2,\n")), FakePorts())
    np.testing.assert_array_equal(device._source._samples, [[1, np.nan, np.nan, np.nan, np.nan, 2]])


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("x,y\n1,2\n3,oops\n", {"columns": {"a": "y"}}, r"some\.csv, line 3, column y: 'oops' is not a number"),
        ("x\ninf\n", {}, r"line 2, column x: 'inf' is not a finite number"),
        ("x,y\n1\n", {}, r"line 2: 1 fields, but the first line names 2 columns"),
        ("a,b\n1,2\n", {}, r"no column 'x'; its columns are a, b"),
        ("", {}, r"no column 'x'; its columns are none"),
        ("x\n", {}, r"some\.csv has no rows$"),
        ("x,t\n1,noon\n", {"time_column": "t"}, r"line 2, column t: Invalid isoformat"),
        ("x,t\n1,nan\n", {"time_column": "t"}, r"line 2, column t: 'nan' is not a time"),
        ("x,t\n1,0\n2,1e12\n", {"time_column": "t"}, r"is rate_hz right\?"),
        ("x\n1\n", {"where": {"z": "1"}}, r"no column 'z'"),
        ("x\n1\n2\n", {"from_s": 1.0}, r"0\.2 s long: nothing is left from 1 s on"),
    ],
)
def test_what_is_wrong_is_named(text: str, more: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = csv_file(tmp_path, text)
    with pytest.raises(DeviceError, match=message):
        Device(options(file, **more), FakePorts())


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    for file in (tmp_path / "none.csv", tmp_path, "package:walking-two-imus/none.csv"):
        with pytest.raises(DeviceUnavailableError, match=r"cannot be opened: (No such file|Is a directory)"):
            Device(options(file), FakePorts())


def test_gzip_is_unpacked_and_a_damaged_one_refused(tmp_path: Path) -> None:
    file = tmp_path / "some.csv.gz"
    packed = gzip.compress(b"x\n" + b"1\n2\n3\n" * 100)
    file.write_bytes(packed)
    assert Device(options(file), FakePorts())._length == 300
    damaged = bytearray(packed)
    damaged[15] ^= 0xFF
    for content in (packed[:-12], b"x\n1\n", bytes(damaged)):
        file.write_bytes(content)
        with pytest.raises(DeviceError, match="not a readable CSV file"):
            Device(options(file), FakePorts())
    plain = csv_file(tmp_path, "")
    plain.write_bytes(b"x\n\xff\xfe\n")
    with pytest.raises(DeviceError, match="not a readable CSV file"):
        Device(options(plain), FakePorts())


@pytest.mark.parametrize(
    "wrong",
    [
        {"file": "package:../errors.py"},
        {"file": "package:/etc/passwd"},
        {"file": "package:walking-two-imus/../x.csv"},
        {"columns": {}},
        {"channels": {"x": 1}},
        {"gain": 0},
        {"columns": {"Bad Name": "x"}},
        {"columns": {f"c{k}": "x" for k in range(17)}},
        {"floor": -1},
        {"rate_hz": 0},
        {"rate_hz": float("nan")},
        {"speed": 0},
        {"from_s": 2, "until_s": 1},
        {"rate_hz": 1000, "speed": 1000},
        {"start_us": -1},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options(**({"file": "x.csv"} | wrong))


def test_loading_is_quick_enough_for_a_small_machine() -> None:
    wanted = options(WALK, {"thigh": "gyr_z_rad_s"}, rate_hz=120)
    fastest = 1e9
    for _ in range(3):
        start = time.process_time()
        Device(wanted, FakePorts())
        fastest = min(fastest, time.process_time() - start)
    assert fastest < 0.06
