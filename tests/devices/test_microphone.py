"""A level is the root mean square of a stretch of sound, timed at its middle."""

import numpy as np
import pytest
from pydantic import ValidationError

from becomingone.devices.microphone import Device, Options
from becomingone.errors import DeviceUnavailableError

from .fakes import FakeAudio, FakePorts, FakeStream

FRAME_NS = 62_500  # 16 kHz
BLOCK = 320


def started(**options: object) -> tuple[Device, FakeStream]:
    ports = FakePorts()
    device = Device(Options(**options), ports)
    return device, ports.fake_audio.streams[0]


def sine(count: int, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * np.arange(count) / 16)


def test_it_opens_the_named_input() -> None:
    _, stream = started(device="usb", rate_hz=48_000, level_rate_hz=1_000)
    assert (stream.device, stream.rate_hz, stream.block) == ("usb", 48_000, 48 * 20)


def test_levels_and_their_times() -> None:
    device, stream = started()
    assert device.read() == []
    for k in range(3):
        stream.put(1_000_000_000 + k * BLOCK * FRAME_NS + k * 1_000, sine(BLOCK))  # with a clock's jitter
    (block,) = device.read()
    np.testing.assert_allclose(block.samples, 0.5 / np.sqrt(2), rtol=1e-4)
    assert len(block.samples) == 6
    assert block.start_ns == 1_000_000_000 + 5_000_000  # the window's middle
    assert block.spacing_ns == 10_000_000
    assert not block.gap
    assert not block.saturated


def test_blocks_of_any_length_give_the_same_levels() -> None:
    sound = np.random.default_rng(1).uniform(-0.9, 0.9, 16_000)
    device, stream = started()
    found, starts, at = [], [], 0
    for length in (7, 1, 159, 500, 333, 1000, 14_000):
        stream.put(at * FRAME_NS, sound[at : at + length])
        at += length
        for block in device.read():
            assert not block.gap
            found += list(block.samples)
            starts.append((block.start_ns - 5_000_000) / 10_000_000)
    np.testing.assert_allclose(found, np.sqrt(np.mean(np.square(sound.reshape(-1, 160)), axis=1)), rtol=1e-5)
    assert starts == [0, 1, 4, 6, 12]


def test_lost_sound_is_a_gap() -> None:
    device, stream = started()
    stream.put(0, sine(BLOCK + 50))
    stream.put((3 * BLOCK + 50) * FRAME_NS, sine(BLOCK))
    before, after = device.read()
    assert (len(before.samples), before.gap) == (2, False)
    assert (len(after.samples), after.gap) == (2, True)
    assert after.start_ns == (3 * BLOCK + 50) * FRAME_NS + 5_000_000
    stream.put((4 * BLOCK + 50) * FRAME_NS, sine(BLOCK))
    assert [block.gap for block in device.read()] == [False]


def test_a_gap_is_not_forgotten_while_a_window_fills() -> None:
    device, stream = started()
    stream.put(0, sine(BLOCK))
    device.read()
    stream.put(9 * BLOCK * FRAME_NS, sine(100))
    assert device.read() == []
    stream.put((9 * BLOCK + 100) * FRAME_NS, sine(60))
    assert [block.gap for block in device.read()] == [True]


@pytest.mark.parametrize("peak", [1.0, -1.0])
def test_clipped_sound_is_saturated(peak: float) -> None:
    device, stream = started()
    sound = sine(BLOCK)
    sound[200] = peak
    stream.put(0, sound)
    assert device.read()[0].saturated


def test_a_card_that_gives_nonsense_gives_missing_samples() -> None:
    device, stream = started()
    sound = sine(BLOCK)
    sound[3] = np.nan
    stream.put(0, sound)
    assert list(np.isnan(device.read()[0].samples)) == [True, False]


def test_the_waveform_is_every_sample_at_its_time() -> None:
    sound = np.random.default_rng(3).uniform(-0.9, 0.9, 48_000).astype(np.float32)
    device, stream = started(mode="waveform", rate_hz=48_000, floor=1e-4)
    (channel,) = device.channels
    assert (channel.name, channel.rate_hz, channel.floor) == ("sound", 48_000.0, 1e-4)
    assert stream.block == 960
    found: list[float] = []
    for k in range(50):
        stream.put(round((1 + k * 0.02) * 1e9), sound[k * 960 : (k + 1) * 960])
        if k % 3 == 0:
            for block in device.read():
                assert block.start_ns == pytest.approx(1e9 + len(found) * 1e9 / 48_000, abs=1)
                assert not block.gap
                found += list(block.samples)
    np.testing.assert_array_equal(found, sound[: len(found)])


def test_the_times_of_a_waveform_go_on_without_a_seam_and_follow_the_card() -> None:
    """A card whose crystal is 100 ppm fast, timed with 0.3 ms of jitter: no seam, and 0.5 ms off at most."""
    jitter = np.random.default_rng(4)
    device, stream = started(mode="waveform", rate_hz=8_000)
    frame_ns = 125_000 * (1 - 100e-6)
    end_ns = None
    for k in range(3_000):  # a minute
        stream.put(round(k * 160 * frame_ns + jitter.uniform(0, 300_000)), np.zeros(160))
        if k % 5 == 4:
            (block,) = device.read()
            assert not block.gap
            if end_ns is not None:
                assert abs(block.start_ns - end_ns) <= 1
            assert abs(block.start_ns - (k - 4) * 160 * frame_ns) < 500_000
            assert abs(block.spacing_ns / 125_000 - 1) < 2e-3
            end_ns = block.start_ns + len(block.samples) * block.spacing_ns


def test_after_lost_sound_the_times_are_the_cards_again() -> None:
    device, stream = started(mode="waveform", rate_hz=8_000)
    stream.put(0, np.zeros(160))
    stream.put(20_000_000, np.zeros(160))
    stream.put(90_000_000, np.zeros(160))
    before, after = device.read()
    assert (before.start_ns, before.gap, after.start_ns, after.gap) == (0, False, 90_000_000, True)


def test_a_level_rate_that_does_not_divide_matters_only_to_levels() -> None:
    assert Options(mode="waveform", rate_hz=44_100, level_rate_hz=1_000).rate_hz == 44_100


def test_no_microphone_and_the_end() -> None:
    with pytest.raises(DeviceUnavailableError, match="no microphone"):
        Device(Options(), FakePorts(audio=FakeAudio(missing=True)))
    device, stream = started()
    device.close()
    assert stream.closed


@pytest.mark.parametrize("wrong", [{"rate_hz": 44_100, "level_rate_hz": 1000}, {"rate_hz": 7999}, {"floor": -0.1}])
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Options(**wrong)
