"""The Emissary: what entrains it, what it does without a hub, and what it refuses."""

from __future__ import annotations

import cmath
import math
from typing import Any

import pytest

from becomingone.errors import FrameError
from becomingone.node.control import MOST_NODES
from becomingone.node.emissary import COAST_PERIODS
from becomingone.node.pipeline import ChannelId
from becomingone.node.sections import EmissarySection
from becomingone.node.sync_intake import MAX_SYNC, PER_S
from becomingone.sim.host import HostClock
from becomingone.wire import cbor
from becomingone.wire.frame import Flags
from becomingone.wire.oscillator import OscillatorFrame, decode_oscillator
from becomingone.wire.seal import open_sealed
from becomingone.wire.signature import Signer, Verifier
from becomingone.wire.sync import SyncFrame, encode_sync
from becomingone.wire.sync_pace import max_age_s

from .emissaries import MOTION, START_US, STRIDE, TOPICS, WALK, Cell, FieldHub, Node, frame

SEED = bytes(range(32))
WIFI = {
    "paths": [
        {
            "up": {"delay_ms": {"kind": "exponential", "least": 2.0, "mean": 10.0}},
            "down": {"delay_ms": {"kind": "exponential", "least": 20.0, "mean": 20.0}, "drop": 0.05},
        }
    ]
}
"""22 ms and more each way, 52 ms in the mean, one sync frame in twenty lost."""

SLOW, FAST = 2 * math.pi * 0.74, 2 * math.pi * 0.83


def sync(cell: Cell, **fields: Any) -> SyncFrame:
    given: dict[str, Any] = {
        "boot": 1,
        "seq": 0,
        "time_us": cell.scheduler.time_us(),
        "field": cmath.rect(0.8, cell.phase()),
        "omega": WALK,
        "cell_size": 2,
        **fields,
    }
    return SyncFrame(**given)


class Stranger:
    """Publishes whatever the test wants at ``sync/<band>``."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.link = cell.link("stranger")
        self.link.start()
        cell.run(0.5)

    def say(self, payload: bytes, band: str = "stride") -> None:
        self.link.publish(TOPICS.sync(band), payload)
        self.cell.run(0.25)

    def sync(self, **fields: Any) -> None:
        self.say(encode_sync(sync(self.cell, **fields)))


# -- entrainment -------------------------------------------------------------------------------------------------------


def test_two_rhythms_of_their_own_lock_to_the_field_with_no_difference_left() -> None:
    cell = Cell(7, **WIFI)
    FieldHub(cell)
    slow, fast = Node(cell, "slow", omega=SLOW), Node(cell, "fast", omega=FAST)
    cell.run(120.0)
    residuals: list[float] = []
    for _ in range(600):
        cell.run(0.1)
        residuals += [slow.off(), fast.off(), abs(math.remainder(slow.phase - fast.phase, math.tau))]
    print(f"two nodes locked to the field over a network of 52 ms: at most {max(residuals):.1e} rad off")
    assert max(residuals) < 1e-4
    for node, omega in ((slow, SLOW), (fast, FAST)):
        emissary = node.control.emissary("stride")
        assert emissary is not None
        assert emissary.entrained
        assert emissary.natural_omega == pytest.approx(omega)
        assert emissary.omega == pytest.approx(WALK, abs=1e-4)


def test_what_the_clock_is_off_by_remains() -> None:
    cell = Cell(7, **WIFI)
    FieldHub(cell)
    node = Node(cell, omega=SLOW, clock=HostClock(cell.scheduler, offset_s=0.02), sigma_s=0.02)
    cell.run(90.0)
    assert node.off() == pytest.approx(0.02 * WALK, rel=0.01)


def test_the_lesser_the_clock_the_lesser_the_pull() -> None:
    reached: list[float] = []
    for sigma_s in (0.0, 0.2, 2.0):
        cell = Cell()
        FieldHub(cell)
        node = Node(cell, sigma_s=sigma_s)
        cell.run(0.6)
        before = node.off()
        cell.run(2.0)
        reached.append(before - node.off())
    assert reached[0] > 1.4 * reached[1] > 0.05
    assert abs(reached[2]) < 0.11  # at its own rate, the band's centre, as if there were no field


def test_without_coupling_nothing_pulls() -> None:
    cell = Cell()
    FieldHub(cell)
    node = Node(cell, omega=SLOW, section=EmissarySection(coupling=0.0))
    cell.run(30.0)
    emissary = node.control.emissary("stride")
    assert emissary is not None
    assert not emissary.entrained
    assert emissary.omega == pytest.approx(SLOW)


def test_without_evidence_its_own_rate_is_the_bands_centre() -> None:
    cell = Cell()
    node = Node(cell)
    cell.run(10.0)
    emissary = node.control.emissary("stride")
    assert emissary is not None
    assert emissary.omega == emissary.natural_omega == STRIDE.omega


def test_without_the_hub_it_coasts_and_then_follows_its_own_sensors() -> None:
    cell = Cell()
    hub = FieldHub(cell)
    node = Node(cell, omega=FAST)
    cell.run(60.0)
    hub.die()
    emissary = node.control.emissary("stride")
    assert emissary is not None
    cell.run(max_age_s(STRIDE.frequency_hz) + COAST_PERIODS * STRIDE.period_s - 0.2)
    assert not emissary.entrained
    assert emissary.omega == pytest.approx(WALK, abs=1e-5)
    assert node.off() < 1e-4  # a perfect mesh has gone on just so
    cell.run(30.0)
    assert emissary.omega == pytest.approx(FAST, abs=1e-6)
    assert node.off(FAST, 1.0) < 1e-4


def test_without_hub_and_sensors_it_coasts_on() -> None:
    cell = Cell()
    hub = FieldHub(cell)
    node = Node(cell)
    cell.run(60.0)
    hub.die()
    cell.run(60.0)
    assert node.off() < 0.01


def test_a_field_of_nothing_lets_it_coast_at_once() -> None:
    cell = Cell()
    hub = FieldHub(cell)
    node = Node(cell, omega=FAST)
    cell.run(60.0)
    hub.field = lambda: 0j
    cell.run(0.3)
    emissary = node.control.emissary("stride")
    assert emissary is not None
    assert not emissary.entrained


def test_the_hub_comes_back_and_no_phase_leaps() -> None:
    cell = Cell()
    hub = FieldHub(cell)
    node = Node(cell, omega=FAST)
    cell.run(60.0)
    hub.die()
    cell.run(40.0)
    FieldHub(cell, boot=2)
    fastest = 0.0
    before = node.phase
    for _ in range(1200):
        cell.run(0.05)
        fastest = max(fastest, abs(math.remainder(node.phase - before, math.tau)) / 0.05)
        before = node.phase
    assert node.off() < 1e-3
    # ω + ι + K·R·sin: what an oscillator may do at all, and far from a leap
    assert fastest < FAST + 0.1 * STRIDE.omega + 0.6


def test_another_section_takes_effect_without_a_leap() -> None:
    cell = Cell()
    FieldHub(cell)
    node = Node(cell, omega=SLOW)
    cell.run(5.0)
    emissary = node.control.emissary("stride")
    assert emissary is not None
    before = node.phase, emissary.omega
    node.control.apply(EmissarySection(coupling=0.5, frames_per_s=10.0), ("motion",))
    assert (node.phase, emissary.omega) == pytest.approx(before)
    assert node.control.emissary("motion") is not None
    told = len(oscillators(cell))
    cell.run(10.0)
    assert node.off() < 1e-3  # in a time in which the weaker one would still be under way
    assert 95 <= len(oscillators(cell)) - told <= 101


def test_bands_without_channel_and_output_have_no_oscillator() -> None:
    cell = Cell()
    node = Node(cell)
    assert node.control.emissary("motion") is None
    node.control.evidence(ChannelId("motion", "leg"), frame(START_US, 0.0, MOTION.omega))
    assert node.control.emissary("motion") is not None
    node.control.evidence(ChannelId("unplanned", "leg"), frame(START_US, 0.0, 1.0))
    assert node.control.emissary("unplanned") is None


# -- what it tells -----------------------------------------------------------------------------------------------------


def oscillators(cell: Cell, name: str = "n") -> list[OscillatorFrame]:
    topic = TOPICS.oscillator(name, "stride")
    return [decode_oscillator(entry.payload) for entry in cell.bench.broker.trace if entry.topic == topic]


def test_it_tells_of_its_oscillator_once_a_second() -> None:
    cell = Cell()
    FieldHub(cell)
    node = Node(cell, omega=SLOW)
    cell.run(60.0)
    frames = oscillators(cell)
    assert len(frames) in (59, 60)
    assert [given.seq for given in frames] == list(range(len(frames)))
    last = frames[-1]
    assert last.entrained
    assert last.natural_omega == pytest.approx(SLOW)
    ahead_s = (node.clock.now_us() - last.time_us) * 1e-6
    assert abs(math.remainder(last.phase + last.effective_omega * ahead_s - node.phase, math.tau)) < 1e-4


def test_what_it_tells_is_sealed() -> None:
    cell = Cell()
    key = bytes(range(32))
    Node(cell, key=key)
    cell.run(3.0)
    topic = TOPICS.oscillator("n", "stride")
    payloads = [entry.payload for entry in cell.bench.broker.trace if entry.topic == topic]
    assert payloads
    assert all(open_sealed(key, topic, payload, 1) == payload for payload in payloads)


def test_closed_it_is_silent() -> None:
    cell = Cell()
    node = Node(cell)
    cell.run(5.0)
    node.control.close()
    cell.run(0.5)  # what is under way
    told = len(oscillators(cell))
    cell.run(5.0)
    assert len(oscillators(cell)) == told > 2


def test_the_size_of_the_cell_is_passed_on_when_it_changes() -> None:
    cell = Cell()
    hub = FieldHub(cell, cell_size=3)
    node = Node(cell)
    cell.run(3.0)
    for size in (0, 700, 2**32 - 1):
        hub.cell_size = size
        cell.run(3.0)
    assert node.sizes == [3, 1, 700, MOST_NODES]


# -- realign -----------------------------------------------------------------------------------------------------------


def target(cell: Cell, **arguments: Any) -> dict[str, Any]:
    return {"band": "stride", "phase": 2.0, "omega": WALK, "time_us": cell.scheduler.time_us(), **arguments}


def test_realigned_it_comes_to_the_target_and_stays() -> None:
    cell = Cell()
    node = Node(cell)
    cell.run(5.0)
    start = math.remainder(2.0 - cell.phase(start=0.0), math.tau)
    node.control.realign(target(cell))
    assert node.off(start=start) > 0.3
    cell.run(40.0)
    assert node.off(start=start) < 0.03


def test_realigned_it_returns_to_the_mesh() -> None:
    cell = Cell()
    FieldHub(cell)
    node = Node(cell)
    cell.run(60.0)
    opposite = math.remainder(cell.phase() + 2.0, math.tau)
    node.control.realign(target(cell, phase=opposite))
    furthest = 0.0
    for _ in range(300):
        cell.run(0.1)
        furthest = max(furthest, node.off())
    assert furthest > 1.5
    cell.run(60.0)
    assert node.off() < 0.01


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"band": "motion"}, "unknown_band"),
        ({"band": "none"}, "unknown_band"),
        ({"omega": -0.1}, "range"),
        ({"omega": 2.1 * STRIDE.omega}, "range"),
        ({"time_us": START_US - 60_000_000}, "late"),
        ({"time_us": START_US + 1_000_000}, "future"),
    ],
)
def test_a_target_that_cannot_be_is_refused(arguments: dict[str, Any], reason: str) -> None:
    cell = Cell()
    node = Node(cell)
    with pytest.raises(FrameError) as refused:
        node.control.realign(target(cell, **arguments))
    assert refused.value.reason == reason


def test_without_coupling_there_is_no_realigning() -> None:
    cell = Cell()
    node = Node(cell, section=EmissarySection(coupling=0.0))
    with pytest.raises(FrameError, match=r"range: emissary\.coupling is 0"):
        node.control.realign(target(cell))


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"time_us": START_US - 1_000_000}, "late"),
        ({"time_us": START_US + 1_000_000}, "future"),
        ({"omega": -1.0}, "range"),
        ({"omega": 1e6}, "range"),
    ],
)
def test_a_field_of_another_time_or_rate_is_refused(fields: dict[str, Any], reason: str) -> None:
    cell = Cell()
    node = Node(cell)
    Stranger(cell).sync(**fields)
    assert node.control.refused == {reason: 1}
    assert node.sizes == []


def test_replayed_and_earlier_frames_are_refused() -> None:
    cell = Cell()
    node = Node(cell)
    stranger = Stranger(cell)
    for boot, seq in ((5, 3), (5, 3), (5, 2), (4, 900), (5, 4), (6, 0), (5, 5)):
        stranger.sync(boot=boot, seq=seq, cell_size=10 * boot + seq)
    assert node.control.refused == {"replayed": 2, "wrong_epoch": 2}
    assert node.sizes == [53, 54, 60]


def test_what_comes_sooner_than_it_is_needed_is_passed_over() -> None:
    cell = Cell()
    node = Node(cell)
    stranger = Stranger(cell)
    for number in range(20):
        stranger.link.publish(TOPICS.sync("stride"), encode_sync(sync(cell, seq=number, cell_size=1 + number)))
        cell.run(0.05)
    assert len(node.sizes) in (4, 5)
    assert node.control.refused == {}


def test_a_captured_frame_is_refused_at_every_later_moment() -> None:
    cell = Cell()
    stranger = Stranger(cell)
    captured = encode_sync(sync(cell))
    node = Node(cell)
    cell.run(0.1)
    stranger.say(captured)
    assert node.control.refused == {}
    for wait_s in (0.0, 0.01, 1.0, 60.0):
        cell.run(wait_s)
        stranger.say(captured)
    assert node.control.refused.keys() == {"replayed", "late"}
    assert node.control.refused.total() == 4
    cell.run(max_age_s(STRIDE.frequency_hz))
    another = Node(cell, "restarted")  # knows nothing of what it has taken before
    cell.run(0.3)
    stranger.say(captured)
    assert another.control.refused == {"late": 1}


def test_forged_unsigned_and_misdirected_frames_are_refused() -> None:
    cell = Cell()
    hub, mallory = Signer(SEED), Signer(bytes(reversed(SEED)))
    node = Node(cell, verifier=Verifier(hub.public_key), signed=True)
    stranger = Stranger(cell)
    topic = TOPICS.sync("stride")
    plain = encode_sync(sync(cell, seq=2**32, boot=2**32 - 1))
    stranger.say(plain)
    stranger.say(mallory.sign(topic, plain))
    stranger.say(hub.sign(TOPICS.sync("motion"), plain))
    genuine = hub.sign(topic, encode_sync(sync(cell, seq=1)))
    flipped = bytearray(genuine)
    flipped[20] ^= 1
    stranger.say(bytes(flipped))
    assert node.control.refused == {"unsealed": 1, "forged": 3}
    assert node.sizes == []
    genuine = hub.sign(topic, encode_sync(sync(cell, seq=1)))
    stranger.say(genuine)
    assert node.control.refused.total() == 4
    assert node.sizes == [2]
    stranger.say(genuine)
    assert node.control.refused["replayed"] == 1


def test_a_node_with_a_key_believes_nobody_without_the_hubs() -> None:
    cell = Cell()
    FieldHub(cell)
    node = Node(cell, key=bytes(range(32)), signed=True)
    cell.run(5.0)
    assert node.control.refused.keys() == {"unsealed"}
    assert node.sizes == []


MALFORMED = [
    (b"", "type"),
    (b"\xff", "type"),
    (b"\x00" * MAX_SYNC, "type"),
    (b"\x00" * (MAX_SYNC + 1), "oversize"),
    (b"\x00" * (1 << 20), "oversize"),
    (cbor.encode({1: 1, 2: 0}), "missing"),
    (encode_sync(SyncFrame(boot=1, seq=0, time_us=START_US, field=1j, omega=5.0, cell_size=1))[:-1], "truncated"),
]


@pytest.mark.parametrize(("payload", "reason"), MALFORMED, ids=[f"{r}-{n}" for n, (_, r) in enumerate(MALFORMED)])
def test_malformed_frames_are_refused_and_counted(payload: bytes, reason: str) -> None:
    cell = Cell()
    node = Node(cell)
    Stranger(cell).say(payload)
    assert node.control.refused == {reason: 1}


def test_bands_that_the_plan_does_not_have_are_refused_and_others_passed_over() -> None:
    cell = Cell()
    node = Node(cell)
    stranger = Stranger(cell)
    stranger.say(b"whatever", "none")
    stranger.say(b"whatever", "motion")
    assert node.control.refused == {"unknown_band": 1}


def test_a_flood_is_not_opened() -> None:
    cell = Cell()
    node = Node(cell)
    stranger = Stranger(cell)
    for _ in range(1000):
        stranger.link.publish(TOPICS.sync("stride"), b"\x00")
    cell.run(0.5)
    refused = node.control.refused
    assert refused.total() == 1000
    assert refused["type"] <= 2 * PER_S
    assert refused["too_often"] == 1000 - refused["type"]


# -- alone -------------------------------------------------------------------------------------------------------------


def test_alone_an_output_follows_the_control_phase_as_far_as_the_node_is_coherent() -> None:
    cell = Cell()
    node = Node(cell, omega=FAST)
    cell.run(40.0)
    values = node.control.alone("display", "stride")
    assert values is not None
    x = (1 + 0.9 * math.cos(node.phase)) / 2
    assert values == {"hue": pytest.approx(360 * x, abs=0.1), "brightness": pytest.approx(0.9)}
    sound = node.control.alone("speaker", None)
    assert sound == {"frequency": pytest.approx(440 + 440 * x, abs=0.1), "volume": pytest.approx(0.9)}


def test_alone_a_motor_gets_nothing_ever() -> None:
    cell = Cell()
    FieldHub(cell)
    node = Node(cell, omega=FAST)
    for _ in range(20):
        cell.run(2.0)
        assert node.control.alone("motor", "stride") is None
        assert node.control.alone("motor", None) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"flags": Flags.NONE},
        {"flags": Flags.VALID | Flags.UNDECIDABLE},
        {"p": 0.01},
        {"coherence": 0.0},
        {"flags": Flags.VALID | Flags.HISTORICAL},
    ],
    ids=["no phase", "undecidable", "chance", "incoherent", "historical"],
)
def test_alone_nothing_follows_what_is_not_coherent(fields: dict[str, Any]) -> None:
    cell = Cell()
    node = Node(cell, omega=FAST)
    node.fields = fields
    cell.run(20.0)
    assert node.control.alone("display", "stride") is None
    assert node.control.alone("display", None) is None
    node.fields = {}
    cell.run(1.0)
    assert node.control.alone("display", "stride") is not None


def test_alone_nothing_follows_sensors_that_are_silent() -> None:
    cell = Cell()
    node = Node(cell, omega=FAST)
    cell.run(20.0)
    node.omega = None
    cell.run(4.9)
    assert node.control.alone("display", None) is not None
    cell.run(0.5)  # more than four periods
    assert node.control.alone("display", None) is None


def test_alone_the_most_coherent_band_is_followed_until_another_is_clearly_more_so() -> None:
    cell = Cell()
    node = Node(cell, omega=None)

    def hue(stride: float, motion: float) -> float:
        for band, coherence in (("stride", stride), ("motion", motion)):
            given = frame(cell.scheduler.time_us(), 0.0, STRIDE.omega, coherence=coherence)
            node.control.evidence(ChannelId(band, "leg"), given)
        cell.run(0.05)
        values = node.control.alone("display", None)
        assert values is not None
        return values["brightness"]

    assert [hue(0.8, 0.7), hue(0.7, 0.8), hue(0.7, 0.9), hue(0.8, 0.7)] == pytest.approx([0.8, 0.7, 0.9, 0.7])


def test_alone_there_is_nothing_in_a_band_without_a_channel() -> None:
    cell = Cell()
    node = Node(cell)
    cell.run(5.0)
    assert node.control.alone("display", "stride") is None
    assert node.control.alone("display", "motion") is None
    assert node.control.alone("display", None) is None
