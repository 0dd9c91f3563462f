"""A latency that is known is found, whatever sees it and whatever makes it; one that is not there is not."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from becomingone.devices import microphone, speaker
from becomingone.devices.contract import Block, Channel, Origin, Reading
from becomingone.errors import DeviceError, DeviceUnavailableError
from becomingone.node.calibrate import CLICK_S, TONE_HZ, Latency, measure
from becomingone.node.pulse_fit import NoResponseError

from ..devices.fakes import FakeClock, FakePorts  # noqa: TID252 - one file of fake hardware for all rooms

RATE = 48_000


class Lamp:
    """An output whose every command is kept with its time; it is on or off at once."""

    def __init__(self, clock: FakeClock, role: str = "display") -> None:
        self.role = role
        self.clock = clock
        self.on_ns: list[int] = []
        self.off_ns: list[int] = []
        self.is_on = False
        self.rests = 0

    def apply(self, values: Mapping[str, float]) -> None:
        on = values.get("brightness", values.get("volume", 0.0)) > 0
        if on != self.is_on:
            (self.on_ns if on else self.off_ns).append(self.clock.now_ns)
        self.is_on = on

    def rest(self) -> None:
        self.rests += 1
        self.is_on = False

    def light(self, times_ns: np.ndarray) -> np.ndarray:
        """How bright it was, 0 or 1."""
        begun = np.searchsorted(np.array(self.on_ns, np.float64), times_ns, "right")
        ended = np.searchsorted(np.array(self.off_ns, np.float64), times_ns, "right")
        return (begun - ended).astype(np.float64)


class Eye:
    """A sensor of a lamp, `late_s` late: one value a read, or blocks, with noise, and a tone where it is asked for."""

    origin: Origin = "live"

    def __init__(
        self,
        lamp: Lamp,
        *,
        rate_hz: float,
        late_s: float,
        bulk: bool = True,
        noise: float = 0.0,
        scale: float = 1.0,
        tone: bool = False,
        quantity: str = "brightness",
        names: tuple[str, ...] = ("a",),
        seed: int = 1,
    ) -> None:
        self.channels = tuple(Channel(name, "", rate_hz, quantity, 0.0) for name in names)
        self._lamp = lamp
        self._late_ns = late_s * 1e9
        self._spacing_ns = 1e9 / rate_hz
        self._bulk = bulk
        self._noise = noise
        self._scale = scale
        self._tone = tone
        self._rng = np.random.default_rng(seed)
        self._next_ns = float(lamp.clock.now_ns)

    def read(self) -> Reading:
        if not self._bulk:
            return {channel.name: self._see(np.array([self._lamp.clock.now_ns]))[0] for channel in self.channels}
        count = int((self._lamp.clock.now_ns - self._next_ns) // self._spacing_ns)
        if count <= 0:
            return []
        times = self._next_ns + self._spacing_ns * np.arange(count)
        start_ns, self._next_ns = self._next_ns, self._next_ns + count * self._spacing_ns
        return [Block(channel.name, round(start_ns), self._spacing_ns, self._see(times)) for channel in self.channels]

    def close(self) -> None:
        pass

    def _see(self, times_ns: np.ndarray) -> np.ndarray:
        seen = self._scale * self._lamp.light(times_ns - self._late_ns)
        if self._tone:
            seen *= np.sqrt(2) * np.sin(2 * np.pi * TONE_HZ * times_ns / 1e9 + 1.0)
        return seen + self._noise * self._rng.standard_normal(len(times_ns))


def found(clock: FakeClock, sensor: Any, output: Any, *, seed: int = 1, **more: Any) -> Latency:
    return measure(sensor, output, clock=clock, wait=clock.advance, rng=random.Random(seed), **more)


@pytest.mark.parametrize("seed", range(3))
def test_a_tone_as_loud_as_the_noise_is_found_within_a_tenth_of_a_millisecond(seed: int) -> None:
    """SNR 0 dB, over all of the 24 kHz that the samples hold."""
    clock = FakeClock()
    lamp = Lamp(clock, "speaker")
    late_s = 0.03123 + 0.1 * seed
    latency = found(
        clock, Eye(lamp, rate_hz=RATE, late_s=late_s, noise=1.0, tone=True, seed=seed), lamp, seed=seed, ramp_s=CLICK_S
    )
    assert latency.response.latency_s == pytest.approx(late_s, abs=1e-4)
    assert latency.response.found == latency.response.pulses == 20
    assert latency.response.snr_db == pytest.approx(0, abs=0.5)
    assert latency.response.chance == pytest.approx(0.001)
    assert latency.output_s is None
    assert latency.input_s == latency.response.latency_s


def test_without_noise_it_is_found_within_a_sample() -> None:
    clock = FakeClock()
    lamp = Lamp(clock, "speaker")
    latency = found(clock, Eye(lamp, rate_hz=RATE, late_s=0.0753, tone=True, noise=1e-4), lamp)
    assert latency.response.latency_s == pytest.approx(0.0753, abs=1 / RATE)


@pytest.mark.parametrize(("rate_hz", "bulk"), [(1_000.0, True), (100.0, True), (100.0, False), (25.0, False)])
@pytest.mark.parametrize("scale", [5.0, -5.0])
def test_a_flash_is_found_within_its_error_by_slow_sensors(rate_hz: float, bulk: bool, scale: float) -> None:
    """Samples of an instant tell a flash's beginning to ±half a spacing; many of them, at random, to much less."""
    clock = FakeClock()
    lamp = Lamp(clock)
    eye = Eye(lamp, rate_hz=rate_hz, late_s=0.111, bulk=bulk, noise=0.5, scale=scale)
    latency = found(clock, eye, lamp, count=40)
    assert latency.response.found >= 38
    assert latency.response.latency_s == pytest.approx(0.111, abs=max(4 * latency.response.error_s, 2e-4))
    assert latency.response.error_s < 0.15 / rate_hz
    assert lamp.rests == 1


def test_the_spread_is_that_of_a_single_pulse() -> None:
    """An output that is late by 0..20 ms at random: the standard deviation is 5.8 ms."""
    clock = FakeClock()
    lamp = Lamp(clock)
    jitter = random.Random(3)
    apply = lamp.apply

    def late(values: Mapping[str, float]) -> None:
        apply(values)
        for edges in (lamp.on_ns, lamp.off_ns):
            if edges and edges[-1] == clock.now_ns:
                edges[-1] += int(jitter.uniform(0, 20e6))

    lamp.apply = late  # type: ignore[method-assign]
    latency = found(clock, Eye(lamp, rate_hz=1_000, late_s=0.05, noise=0.01), lamp, count=100)
    assert 0.003 < latency.response.sigma_s < 0.009
    assert latency.response.latency_s == pytest.approx(0.06, abs=4 * latency.response.error_s)


class Room(FakePorts):
    """A speaker and a microphone `late_s` apart, on a sound card of 40 ms; time passes only in `wait`."""

    def __init__(self, *, late_s: float, noise: float, hum: float = 0.0, deaf: bool = False) -> None:
        super().__init__(FakeClock())
        self.late_s = late_s
        self.noise = noise
        self.hum = hum
        self.deaf = deaf
        self.rng = np.random.default_rng(7)
        self.zero_ns = self.fake_clock.now_ns
        self.lead = round(0.04 * RATE)
        self.air = np.zeros(60 * RATE, np.float32)
        self.blocks = 0

    def wait(self, seconds: float) -> None:
        until = self.fake_clock.now_ns + round(seconds * 1e9)
        while (due := self.zero_ns + self.blocks * 10_000_000) <= until:
            self.fake_clock.now_ns = max(due, self.fake_clock.now_ns)
            self.turn()
            self.blocks += 1
        self.fake_clock.now_ns = until

    def turn(self) -> None:
        player, stream = self.fake_audio.players[0], self.fake_audio.streams[0]
        first = self.lead + self.blocks * RATE // 100
        self.air[first : first + RATE // 100] = player.pull(self.fake_clock.now_ns + 40_000_000, RATE // 100)
        if self.blocks % 2 == 0 and self.blocks:
            count = stream.block
            start_ns = self.fake_clock.now_ns - 20_000_000
            times = (start_ns - self.zero_ns) / 1e9 + np.arange(count) / stream.rate_hz
            place = np.maximum((times - self.late_s) * RATE, 0)
            near = place.astype(int)
            sound = self.air[near] + (place - near) * (self.air[near + 1] - self.air[near])
            sound = sound * (not self.deaf) + self.noise * self.rng.standard_normal(count)
            stream.put(start_ns, sound + self.hum * np.sin(2 * np.pi * 50 * times))


def heard(room: Room, *, seed: int = 1, count: int = 20, **options: Any) -> Latency:
    output = speaker.Device(speaker.Options().model_copy(update={"glide_s": CLICK_S}), room)
    sensor = microphone.Device(microphone.Options(**options), room)
    return measure(
        sensor, output, clock=room.clock, wait=room.wait, rng=random.Random(seed), ramp_s=CLICK_S, count=count
    )


def test_a_microphones_wave_tells_its_own_latency_from_the_speakers() -> None:
    """SNR 0 dB and a hum as loud; the card's 40 ms and the block's 10 are the speaker's."""
    room = Room(late_s=0.03127, noise=0.3 / np.sqrt(2), hum=0.3)
    latency = heard(room, mode="waveform", rate_hz=RATE)
    assert latency.input_s == pytest.approx(0.03127, abs=1e-4)
    assert latency.output_s is not None
    assert 0.04 <= latency.output_s <= 0.051
    assert latency.response.latency_s == pytest.approx(latency.output_s + latency.input_s)
    assert not room.fake_audio.players[0].playing  # at rest


def test_a_microphones_level_tells_it_too() -> None:
    room = Room(late_s=0.0311, noise=0.01)
    latency = heard(room, rate_hz=48_000, level_rate_hz=1_000)
    assert latency.input_s == pytest.approx(0.0311, abs=2e-4)


def test_a_hundred_levels_a_second_tell_it_to_a_millisecond() -> None:
    room = Room(late_s=0.0311, noise=0.01)
    latency = heard(room, count=30)
    assert latency.input_s == pytest.approx(0.0311, abs=1e-3)


@pytest.mark.parametrize("mode", ["waveform", "level"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_microphone_that_hears_nothing_gives_no_figure(mode: str, seed: int) -> None:
    room = Room(late_s=0.03, noise=0.1, deaf=True)
    with pytest.raises(NoResponseError, match=r"stands out from what chance finds|pulses were found"):
        heard(room, mode=mode, seed=seed)


def test_noise_alone_is_seldom_taken_for_a_response() -> None:
    """At p ≤ 0.005 for the train and half of its pulses to be seen, 15 tries of noise find nothing."""
    refused = 0
    for seed in range(15):
        clock = FakeClock()
        lamp = Lamp(clock)
        eye = Eye(lamp, rate_hz=100, late_s=0.1, noise=1.0, scale=0.0, seed=seed)
        with pytest.raises(NoResponseError):
            found(clock, eye, lamp, seed=seed)
        refused += 1
    assert refused == 15


def test_a_muted_and_a_missing_input_are_told_apart() -> None:
    clock = FakeClock()
    lamp = Lamp(clock)
    with pytest.raises(NoResponseError, match="gave nothing but 0: is it connected, and not muted"):
        found(clock, Eye(lamp, rate_hz=100, late_s=0.1, scale=0.0), lamp)
    silent = Eye(lamp, rate_hz=100, late_s=0.1)
    silent.read = list  # type: ignore[method-assign]
    with pytest.raises(NoResponseError, match="gave no samples: is it connected"):
        found(clock, silent, lamp)
    missing = Eye(lamp, rate_hz=100, late_s=0.1, bulk=False)
    missing.read = lambda: {"a": None}  # type: ignore[method-assign]
    with pytest.raises(NoResponseError, match="gave no samples"):
        found(clock, missing, lamp)


def test_a_latency_beyond_the_longest_is_not_made_up() -> None:
    clock = FakeClock()
    lamp = Lamp(clock)
    with pytest.raises(NoResponseError):
        found(clock, Eye(lamp, rate_hz=1_000, late_s=3.0, noise=0.1), lamp)


def test_a_sensor_that_fails_ends_it_with_the_output_at_rest() -> None:
    clock = FakeClock()
    lamp = Lamp(clock)
    eye = Eye(lamp, rate_hz=100, late_s=0.1)
    read: Callable[[], Reading] = eye.read

    def failing() -> Reading:
        if lamp.is_on:
            raise DeviceUnavailableError("unplugged")
        return read()

    eye.read = failing  # type: ignore[method-assign]
    with pytest.raises(DeviceUnavailableError, match="unplugged"):
        found(clock, eye, lamp)
    assert lamp.rests == 1
    assert not lamp.is_on


def test_a_motor_is_not_pulsed() -> None:
    clock = FakeClock()
    motor = Lamp(clock, "motor")
    with pytest.raises(DeviceError, match="role motor is not pulsed, only speaker and display"):
        found(clock, Eye(motor, rate_hz=100, late_s=0.1), motor)
    assert motor.on_ns == []


def test_a_channel_has_to_be_chosen_where_there_are_several() -> None:
    clock = FakeClock()
    lamp = Lamp(clock)
    eye = Eye(lamp, rate_hz=100, late_s=0.05, noise=0.1, names=("a", "b"))
    with pytest.raises(DeviceError, match=r"choose a channel of the input: a, b$"):
        found(clock, eye, lamp)
    with pytest.raises(DeviceError, match="a, b; not c"):
        found(clock, eye, lamp, channel="c")
    assert found(clock, eye, lamp, channel="b").channel == "b"


def test_the_same_seed_gives_the_same_figures() -> None:
    def once() -> Latency:
        clock = FakeClock()
        lamp = Lamp(clock)
        return found(clock, Eye(lamp, rate_hz=100, late_s=0.1, noise=0.2), lamp, seed=9)

    assert once() == once()
