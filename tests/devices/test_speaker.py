"""A tone that glides and never clicks, and that says when nothing can be heard."""

from fractions import Fraction

import numpy as np
import pytest
from pydantic import ValidationError

from becomingone.devices._tone import Tone
from becomingone.devices.contract import Output
from becomingone.devices.speaker import Device, Options
from becomingone.errors import DeviceUnavailableError
from becomingone.sim.sound import SimSound

from .fakes import FakeClock, FakePlayer, FakePorts

RATE = 48_000
BLOCK_NS = 10_000_000


class Room:
    """A speaker, and somebody who hears every sample that it plays, `lead_ns` after it was asked for."""

    def __init__(self, *, lead_ns: int = 30_000_000, **options: object) -> None:
        self.clock = FakeClock()
        ports = FakePorts(self.clock)
        self.device = Device(Options(**options), ports)
        self.player: FakePlayer = ports.fake_audio.players[0]
        self.lead_ns = lead_ns
        self.heard = np.empty(0, np.float32)
        self.zero_ns = self.clock.now_ns + lead_ns

    def listen(self, seconds: float) -> np.ndarray:
        """Hear some more, whole blocks; give only what is new."""
        blocks = []
        for _ in range(round(seconds * 1e9) // BLOCK_NS):
            blocks.append(self.player.pull(self.clock.now_ns + self.lead_ns))
            self.clock.now_ns += BLOCK_NS
        new = np.concatenate(blocks)
        self.heard = np.concatenate([self.heard, new])
        return new

    def play(self, frequency: float, volume: float) -> None:
        self.device.apply({"frequency": frequency, "volume": volume})


def pitch(sound: np.ndarray, rate_hz: int = RATE) -> float:
    """Frequency of a steady tone, Hz, by the phase between the two halves of the sound."""
    half = len(sound) // 2
    window = np.hanning(half)
    rough = np.argmax(np.abs(np.fft.rfft(sound[:half] * window))) * rate_hz / half
    turn = np.exp(-2j * np.pi * rough * np.arange(half) / rate_hz) * window
    one, two = np.dot(sound[:half], turn), np.dot(sound[half : 2 * half], turn)
    ahead = np.angle(two / one * np.exp(-2j * np.pi * rough * half / rate_hz))
    return float(rough + ahead * rate_hz / (2 * np.pi * half))


def test_it_is_a_speaker() -> None:
    room = Room(device="usb")
    assert isinstance(room.device, Output)
    assert room.device.role == "speaker"
    assert (room.player.device, room.player.rate_hz, room.player.block) == ("usb", RATE, 480)
    assert room.player.starts == 0  # nothing is opened before there is something to hear
    assert room.device.latency_s is None


@pytest.mark.parametrize("frequency", [20.0, 440.0, 661.3, 880.0, 19_990.0])
def test_frequency_and_volume_are_as_commanded(frequency: float) -> None:
    room = Room(gain=0.5)
    room.play(frequency, 0.6)
    room.listen(0.2)
    sound = room.listen(2.0)
    assert pitch(sound) == pytest.approx(frequency, abs=0.001)
    assert np.sqrt(2 * np.mean(np.square(sound, dtype=float))) == pytest.approx(0.3, rel=1e-3)


def test_no_change_makes_a_step_that_its_glide_does_not_allow() -> None:
    room = Room(gain=0.9, glide_s=0.02, release_s=0.02)
    commands = np.random.default_rng(1)
    for _ in range(200):
        room.play(commands.uniform(20, 880), commands.uniform(0, 1))
        room.listen(commands.choice([0.01, 0.03, 0.1]))
        if commands.uniform() < 0.05:
            room.device.rest()
            room.listen(commands.choice([0.01, 0.05]))
    allowed = 0.9 * 2 * np.pi * 880 / RATE + 0.9 / (0.02 * RATE)
    assert np.max(np.abs(np.diff(room.heard))) <= allowed * 1.001
    assert np.max(np.abs(room.heard)) > 0.5


def test_the_phase_goes_on_through_a_change_of_frequency() -> None:
    """With the frequency known at every frame, so is the phase: the whole sound is one sine of it."""
    room = Room(gain=0.5, glide_s=0.1)
    room.play(440, 1.0)
    room.listen(1.0)
    room.play(880, 1.0)
    room.listen(1.0)
    start = int(np.flatnonzero(room.heard)[0]) - 1  # the first frame of the tone is its zero
    sound = room.heard[start:]
    change = 48_000 - start
    frequency = np.interp(np.arange(len(sound)), [change - 1, change - 1 + 4_800], [440, 880])
    volume = np.interp(np.arange(1, len(sound) + 1), [0, 4_800], [0, 0.5])
    cycles = np.concatenate([[0.0], np.cumsum(frequency)[:-1]]) / RATE
    np.testing.assert_allclose(sound, volume * np.sin(2 * np.pi * cycles), atol=1e-6)


def test_every_command_is_heard_after_the_same_delay() -> None:
    """The card asks in bursts of three blocks, at times that have nothing to do with the commands'."""
    room = Room(gain=0.5, glide_s=0.002)
    rng = np.random.default_rng(2)
    room.play(1_000, 0.0)
    blocks: list[np.ndarray] = []
    zero_ns = room.clock.now_ns
    commands: list[int] = []
    on = False
    next_ns = zero_ns + 500_000_000
    for burst in range(400):
        until = zero_ns + (burst + 1) * 3 * BLOCK_NS
        while next_ns < until:
            room.clock.now_ns = next_ns
            on = not on
            room.play(1_000, 1.0 if on else 0.0)
            commands.append(next_ns)
            next_ns += int(rng.uniform(0.05, 0.2) * 1e9)
        room.clock.now_ns = until
        blocks += [room.player.pull(until + 40_000_000 + part * BLOCK_NS) for part in range(3)]
    heard = np.abs(np.concatenate(blocks))
    loud = np.convolve(heard, np.ones(48), "same") > 0.5 * 48 * 0.5 * 2 / np.pi
    edges = np.flatnonzero(np.diff(loud.astype(int))) / RATE + (3 * BLOCK_NS + 40_000_000) / 1e9
    late = edges - (np.array(commands[: len(edges)]) - zero_ns) / 1e9
    assert len(edges) > 80
    settled = late[20:]
    assert np.ptp(settled) < 0.002
    assert room.device.latency_s == pytest.approx(float(np.median(settled)), abs=0.002)
    assert 0.06 < float(np.median(settled)) < 0.08  # 40 ms of lead, up to 30 ms of waiting for a burst


def test_rest_fades_out_and_lets_the_card_go() -> None:
    room = Room(release_s=0.05)
    room.play(440, 1.0)
    room.listen(0.3)
    room.device.rest()
    fading = room.listen(0.1)
    assert np.max(np.abs(fading[:480])) > 0.2
    assert not np.any(fading[2_400:])
    assert not room.player.playing
    room.play(660, 1.0)
    room.listen(0.2)
    assert pitch(room.listen(1.0)) == pytest.approx(660, abs=0.001)


def test_rest_calls_off_what_has_not_been_heard_yet() -> None:
    room = Room()
    room.play(440, 1.0)
    room.device.rest()
    assert not np.any(room.listen(0.5))
    assert not room.player.playing


def test_silence_that_was_commanded_keeps_the_card() -> None:
    room = Room()
    room.play(440, 0.0)
    assert not np.any(room.listen(1.0))
    assert room.player.playing


def test_a_tone_after_silence_begins_at_its_own_frequency() -> None:
    room = Room(gain=0.5, glide_s=0.5)
    room.play(20_000, 0.0)
    room.listen(1.0)
    room.play(200, 1.0)
    room.listen(0.1)
    assert pitch(room.listen(0.3)) == pytest.approx(200, abs=2)


def test_it_says_that_nothing_can_be_heard_and_plays_when_it_can() -> None:
    room = Room()
    room.player.problem = "there is no sound card"
    with pytest.raises(DeviceUnavailableError, match="no sound card"):
        room.play(440, 1.0)
    assert room.player.starts == 1  # it is looked for
    room.device.rest()
    room.player.problem = None
    room.listen(0.05)  # what was refused is not made up for
    assert not np.any(room.heard)
    room.play(440, 1.0)
    assert np.any(room.listen(0.5))


def test_commands_that_nobody_plays_are_bounded_and_counted() -> None:
    room = Room()
    for _ in range(1_000):
        room.play(440, 1.0)
    assert room.device.dropped == 1_000 - 64


def test_underruns_and_faults_are_shown() -> None:
    room = Room()
    assert (room.device.underruns, room.device.faults, room.device.remark) == (0, 0, "")
    room.player.underruns, room.player.faults = 3, 1
    assert (room.device.underruns, room.device.faults) == (3, 1)
    assert room.device.remark == "the sound card ran dry 3 times"


def test_a_simulated_speaker_keeps_what_it_would_have_played() -> None:
    clock = FakeClock()
    sound = SimSound(clock)
    ports = FakePorts(clock)
    ports.fake_audio = sound  # type: ignore[assignment]
    device = Device(Options(glide_s=0.002, gain=0.5), ports)
    for _ in range(5):
        device.apply({"frequency": 1_000, "volume": 1.0})
        clock.advance(0.05)
    assert pitch(sound.players[0].heard) == pytest.approx(1_000, abs=1)
    assert device.dropped == 0
    with pytest.raises(DeviceUnavailableError, match="a simulated node has no sound card"):
        sound.record(rate_hz=16_000, device=None, block=320)


def test_it_is_closed_for_good() -> None:
    room = Room()
    room.play(440, 1.0)
    room.device.close()
    assert room.player.closed


@pytest.mark.parametrize(
    "values",
    [
        {"frequency": 19.9, "volume": 0.5},
        {"frequency": 20_001, "volume": 0.5},
        {"frequency": 440, "volume": 1.01},
        {"frequency": 440, "volume": -0.01},
        {"frequency": float("nan"), "volume": 0.5},
        {"frequency": 440, "volume": float("inf")},
        {"frequency": 440},
        {},
        {"frequency": 440, "volume": 0.5, "hue": 1},
    ],
)
def test_what_is_no_tone_is_refused(values: dict[str, float]) -> None:
    room = Room()
    with pytest.raises(ValueError, match=r"a speaker takes frequency and volume|must be "):
        room.device.apply(values)
    assert room.player.starts == 0


@pytest.mark.parametrize(
    "wrong", [{"gain": 1.0}, {"gain": -0.1}, {"glide_s": 0}, {"release_s": 0.11}, {"rate_hz": 22_050}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Options(**wrong)


def test_a_months_phase_is_as_exact_as_a_seconds() -> None:
    """The error of 20,000 blocks, if every later block added as much of the same sign, is inaudible after a month."""
    tone = Tone(RATE)
    tone.go(1.0, 0, frequency_hz=659.2551138257398)
    block = np.empty(480, np.float32)
    blocks = 20_000
    for _ in range(blocks):
        tone.render(block)
    exact = Fraction(659.2551138257398) / RATE * 480 * blocks % 1
    error = abs(float((Fraction(tone.phase) - exact + Fraction(1, 2)) % 1 - Fraction(1, 2)))
    month = 30 * 86_400 * 100
    assert error / blocks * month < 1e-4
