"""A WAV file of any usual format is replayed sample for sample, by stretches, and a broken one is refused by place."""

import struct
import tracemalloc
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from becomingone.devices._wave import WaveFile
from becomingone.devices.recording import Device, Options
from becomingone.errors import DeviceError, DeviceUnavailableError

from .fakes import FakeClock, FakePorts

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def wav(
    samples: np.ndarray, *, rate_hz: int = 8_000, bits: int = 16, kind: int = PCM, extensible: bool = False, **more: Any
) -> bytes:
    """A WAV file of samples of −1..1, shape (n_samples, n_channels); `more` breaks it."""
    channels = samples.shape[1]
    if kind == FLOAT:
        data = samples.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        data = np.round(samples * 128 + 128).clip(0, 255).astype(np.uint8).tobytes()
    else:
        whole = np.round(samples * 2.0 ** (bits - 1)).clip(-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1).astype("<i8")
        data = b"".join(int(value).to_bytes(bits // 8, "little", signed=True) for value in whole.ravel())
    frame = more.get("frame", channels * bits // 8)
    form = struct.pack(
        "<HHIIHH",
        more.get("tag", EXTENSIBLE if extensible else kind),
        more.get("channels", channels),
        more.get("rate", rate_hz),
        rate_hz * frame,
        frame,
        more.get("said_bits", bits),
    )
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, kind) + more.get("guid", GUID_TAIL)
    parts = [
        (b"LIST", b"odd"),
        (b"fmt ", form[: more.get("fmt_bytes", 99)]),
        (b"fact", b"\0\0\0\0"),
        (b"data", data),
    ]
    body = b"".join(
        name
        + struct.pack("<I", more.get("data_size", len(part)) if name == b"data" else len(part))
        + part
        + b"\0" * (len(part) % 2)
        for name, part in parts
        if name not in more.get("without", ())
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def saved(folder: Path, content: bytes, name: str = "some.wav") -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


def sound(count: int = 400, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(5).uniform(-0.99, 0.99, (count, channels))


def replay(device: Device, clock: FakeClock, seconds: float) -> dict[str, np.ndarray]:
    found: dict[str, list[float]] = {}
    for _ in range(round(seconds * 100) + 1):
        for block in device.read():
            found.setdefault(block.channel, []).extend(block.samples)
        clock.advance(0.01)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(("kind", "bits"), [(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)])
def test_every_format_gives_the_samples(kind: int, bits: int, extensible: bool, tmp_path: Path) -> None:
    samples = sound()
    file = WaveFile(str(saved(tmp_path, wav(samples, kind=kind, bits=bits, extensible=extensible))))
    assert (file.rate_hz, file.n_channels, file.length) == (8_000, 2, 400)
    step = 2.0 ** (1 - min(bits, 24)) if kind == PCM else 1e-7
    np.testing.assert_allclose(file.read(0, 400), samples.T, atol=0.51 * step)
    np.testing.assert_allclose(file.read(17, 20), samples[17:20].T, atol=0.51 * step)
    file.close()


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_full_scale_is_one(bits: int, tmp_path: Path) -> None:
    file = WaveFile(str(saved(tmp_path, wav(np.array([[-1.0], [0.0], [1.0]]), bits=bits))))
    (samples,) = file.read(0, 3)
    assert list(samples) == [-1.0, 0.0, 1.0 - 2.0 ** (1 - bits)]
    file.close()


def test_what_the_standard_library_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.wav"
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(44_100)
        writer.writeframes(struct.pack("<4h", 0, 16_384, -16_384, -32_768))
    file = WaveFile(str(path))
    assert file.read(0, 4).tolist() == [[0.0, 0.5, -0.5, -1.0]]
    file.close()


def test_it_is_replayed_at_its_own_pace(tmp_path: Path) -> None:
    samples = sound()
    clock = FakeClock(mesh_us=0)
    path = saved(tmp_path, wav(samples, rate_hz=1_000, bits=32, kind=FLOAT))
    device = Device(Options(file=str(path), channels={"right": 2, "left": 1}, gain=2.0), FakePorts(clock))
    assert [(channel.name, channel.rate_hz, channel.floor) for channel in device.channels] == [
        ("right", 1_000.0, 0.001),
        ("left", 1_000.0, 0.001),
    ]
    assert device.origin == "replayed"
    found = replay(device, clock, 0.9)
    for name, column in (("right", 1), ("left", 0)):
        np.testing.assert_allclose(found[name], 2 * np.resize(samples[:, column], 901), rtol=1e-6)
    device.close()


def test_without_channels_it_is_the_mean_of_all(tmp_path: Path) -> None:
    samples = sound(channels=3)
    clock = FakeClock(mesh_us=0)
    path = saved(tmp_path, wav(samples, rate_hz=1_000, bits=64, kind=FLOAT))
    device = Device(Options(file=str(path), loop=False, from_s=0.1, until_s=0.3), FakePorts(clock))
    found = replay(device, clock, 1.0)
    np.testing.assert_allclose(found["sound"], samples[100:300].mean(axis=1))
    device.close()


def test_clipped_sound_is_saturated_and_nonsense_is_missing(tmp_path: Path) -> None:
    for value, saturated in ((0.5, False), (1.0, True), (np.inf, False)):
        path = saved(tmp_path, wav(np.array([[value]]), rate_hz=1_000, bits=32, kind=FLOAT))
        device = Device(Options(file=str(path)), FakePorts(FakeClock(mesh_us=0)))
        (block,) = device.read()
        assert block.saturated == saturated
        assert np.isnan(block.samples[0]) == np.isinf(value)
        device.close()


def test_an_hour_of_sound_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "hour.wav"
    seconds = 3_600
    head = wav(np.zeros((1, 2)), rate_hz=48_000)
    data = seconds * 48_000 * 4
    with path.open("wb") as file:  # a file with a hole, which reads as silence
        file.write(head[:-8] + struct.pack("<I", data))
        file.truncate(file.tell() + data)
    tracemalloc.start()
    clock = FakeClock(mesh_us=1_800_000_000)
    device = Device(Options(file=str(path)), FakePorts(clock))
    device.read()
    heard = 0
    for _ in range(20):
        clock.advance(0.1)
        heard += sum(len(block.samples) for block in device.read())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    device.close()
    assert heard == 20 * 4_800
    assert peak < 3_000_000


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (b"", r"some\.wav, byte 0: it is not a WAV file"),
        (b"RF64\xff\xff\xff\xffWAVE", "byte 0: it is an RF64 file"),
        ({"without": [b"data"]}, r"byte 60: it ends without a data chunk"),
        ({"without": [b"data", b"fmt "]}, "ends without a fmt chunk"),
        ({"without": [b"fmt "]}, "its data come before the fmt chunk"),
        ({"fmt_bytes": 14}, "byte 24: its fmt chunk has 14 bytes, fewer than 16"),
        ({"tag": 2}, r"byte 24: its format is 2, neither PCM \(1\) nor float \(3\)"),
        ({"said_bits": 12}, r"it has 12 bits a sample, not 8, 16, 24, 32"),
        ({"channels": 0}, r"it has 0 channels, not 1\.\.64"),
        ({"channels": 65}, r"it has 65 channels, not 1\.\.64"),
        ({"rate": 0}, "it has 0 samples a second"),
        ({"frame": 3}, "2 channels of 16 bits make no blocks of 3 bytes"),
        ({"data_size": 4_000}, "cut short: 4000 bytes of samples are announced, 1600 are there"),
        ({"data_size": 0}, "it has no samples"),
        ({"extensible": True, "guid": bytes(14)}, "sub-format that is neither PCM nor float"),
        ({"rate": 96_000}, r"rate · speed is 96000 Hz, above 50000"),
    ],
)
def test_what_is_wrong_is_named(broken: bytes | dict[str, Any], message: str, tmp_path: Path) -> None:
    content = broken if isinstance(broken, bytes) else wav(sound(), **broken)
    with pytest.raises(DeviceError, match=message):
        Device(Options(file=str(saved(tmp_path, content))), FakePorts())


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    content = wav(sound(3), extensible=True)
    for length in range(len(content)):
        with pytest.raises(DeviceError, match=r"some\.wav, byte \d+: "):
            WaveFile(str(saved(tmp_path, content[:length])))


def test_random_bytes_are_refused_or_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    content = wav(sound(3), extensible=True)
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] = rng.integers(256)
        try:
            file = WaveFile(str(saved(tmp_path, bytes(damaged))))
        except DeviceError:
            continue
        assert file.read(0, file.length).shape == (file.n_channels, file.length)
        file.close()


def test_a_file_that_goes_away_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DeviceUnavailableError, match="cannot be opened: No such file"):
        Device(Options(file=str(tmp_path / "none.wav")), FakePorts())
    path = saved(tmp_path, wav(sound()))
    file = WaveFile(str(path))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DeviceUnavailableError, match="has become shorter"):
        file.read(300, 400)
    file.close()
    with pytest.raises(DeviceUnavailableError, match="closed file"):
        file.read(0, 1)


def test_a_channel_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"has no channel 3; it has 2"):
        Device(Options(file=str(saved(tmp_path, wav(sound()))), channels={"a": 3}), FakePorts())
    with pytest.raises(DeviceError, match=r"0\.05 s long: nothing is left from 1 s on"):
        Device(Options(file=str(saved(tmp_path, wav(sound()))), from_s=1), FakePorts())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file": "a.wav", "columns": {"x": "x"}}, "a WAV file has no columns"),
        ({"file": "a.WAV", "rate_hz": 8_000}, "a WAV file has no rate_hz"),
        ({"file": "a.wav", "channels": {"x": 0}}, "greater than or equal to 1"),
        ({"file": "a.csv"}, "a CSV file needs columns"),
        ({"file": "a.csv", "columns": {"x": "x"}, "unit": "", "quantity": "a", "floor": 0}, "a CSV file needs rate_hz"),
    ],
)
def test_options_fit_the_kind_of_file(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Options(**options)
