"""Sync frames: how often, of what, signed by whom, and what that costs."""

from __future__ import annotations

import cmath
import math
import time
from itertools import pairwise
from typing import Any

import pytest

from becomingone.config.security import HubSecurity
from becomingone.hub.config import HubConfig
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.sync import MAX_PER_S, SyncPublisher
from becomingone.kairos.bands import Band
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated, walkers
from becomingone.wire.signature import Signer, Verifier
from becomingone.wire.sync import SyncFrame, decode_sync
from becomingone.wire.sync_pace import interval_s, max_age_s

from .parts import BANDS, NOW_US, STRIDE, TOPICS

TICK_HZ = 20.0
SEED = bytes(range(32))


def state(time_us: int = NOW_US, field: complex = 0.6 + 0.3j, **fields: Any) -> BandState:
    given: dict[str, Any] = {"valid": True, "weight": 1.0, "coherence": 0.8, "omega": STRIDE.omega, **fields}
    return BandState(name=given.pop("name", "stride"), time_us=time_us, mean_field=field, **given)


class Publisher:
    def __init__(self, *bands: Band, signer: Signer | None = None, boot: int = 5) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.up = True
        self.publisher = SyncPublisher(
            TOPICS, bands or BANDS, boot, tick_hz=TICK_HZ, publish=self._publish, signer=signer
        )

    def _publish(self, topic: str, payload: bytes) -> bool:
        if self.up:
            self.sent.append((topic.removeprefix(f"{TOPICS.base}/"), payload))
        return self.up

    def tick(self, number: int, *bands: BandState, cell_size: int = 3) -> None:
        self.publisher.take(MeshState(NOW_US + number * 50_000, bands), cell_size)

    def frames(self, band: str = "stride") -> list[SyncFrame]:
        return [decode_sync(payload) for topic, payload in self.sent if topic == f"sync/{band}"]


def test_a_frame_says_what_the_mesh_is() -> None:
    hub = Publisher()
    hub.tick(0, state(omega=4.8))
    (frame,) = hub.frames()
    assert (frame.boot, frame.seq, frame.time_us, frame.cell_size) == (5, 0, NOW_US, 3)
    assert frame.field == pytest.approx(0.6 + 0.3j, abs=1e-7)
    assert frame.omega == pytest.approx(4.8, abs=1e-6)


@pytest.mark.parametrize(
    ("frequency_hz", "expected_s"),
    [(40.0, 0.05), (10.0, 0.05), (1.0, 0.125), (0.25, 0.5), (1 / 60, 2.0), (1 / 86_400, 2.0)],
)
def test_the_pace_is_eight_a_period_within_the_ticks_and_two_seconds(frequency_hz: float, expected_s: float) -> None:
    assert interval_s(frequency_hz, TICK_HZ) == pytest.approx(expected_s)
    assert max_age_s(frequency_hz) >= 3 * expected_s
    hub = Publisher(Band.of("b", frequency_hz, 0.2 / frequency_hz))
    for number in range(400):
        hub.tick(number, state(name="b", omega=2 * math.pi * frequency_hz))
    times = [frame.time_us for frame in hub.frames("b")]
    gaps = [(after - before) / 1e6 for before, after in pairwise(times)]
    assert sum(gaps) / len(gaps) == pytest.approx(expected_s, rel=0.02)
    assert max(gaps) <= expected_s + 0.05 + 1e-9
    assert [frame.seq for frame in hub.frames("b")] == list(range(len(times)))


def test_ticks_that_were_missed_are_not_made_up_for() -> None:
    hub = Publisher()
    for number in (0, 400, 401, 402, 403, 404):
        hub.tick(number, state())
    assert [(frame.time_us - NOW_US) // 50_000 for frame in hub.frames()] == [0, 400, 404]


@pytest.mark.parametrize(
    "gone",
    [{"valid": False}, {"field": 0j}, {"field": 0.005j}, {"omega": -0.1}, {"omega": 2.1 * STRIDE.omega}],
    ids=["no phase", "no field", "as good as none", "backwards", "too fast"],
)
def test_a_field_that_is_gone_is_told_of_once(gone: dict[str, Any]) -> None:
    hub = Publisher()
    for number in range(100):
        hub.tick(number, state(**gone))
    assert hub.sent == []
    for number in range(100, 120):
        hub.tick(number, state())
    for number in range(120, 220):
        hub.tick(number, state(**gone))
    fields = [abs(frame.field) for frame in hub.frames()]
    assert fields[-1] == 0.0
    assert all(field > 0.6 for field in fields[:-1])
    assert [frame.seq for frame in hub.frames()] == list(range(len(fields)))


def test_what_the_link_does_not_take_is_not_counted_as_sent() -> None:
    hub = Publisher()
    hub.tick(0, state())
    hub.up = False
    hub.tick(10, state())
    hub.up = True
    hub.tick(11, state())
    assert [(frame.seq, (frame.time_us - NOW_US) // 50_000) for frame in hub.frames()] == [(0, 0), (1, 11)]


def test_rounding_makes_no_field_longer_than_one() -> None:
    hub = Publisher()
    hub.tick(0, state(field=1.0000000000000004 + 0j))
    assert abs(hub.frames()[0].field) == 1.0


def test_frames_are_signed_where_there_is_a_key() -> None:
    signer = Signer(SEED)
    hub = Publisher(signer=signer)
    hub.tick(0, state())
    ((topic, payload),) = hub.sent
    Verifier(signer.public_key).open(f"{TOPICS.base}/{topic}", payload)
    assert len(payload) < 128


def test_many_fast_bands_come_less_often() -> None:
    bands = tuple(Band.of(f"b{n}", 10.0, 0.1) for n in range(64))
    hub = Publisher(*bands)
    for number in range(200):  # ten seconds
        hub.tick(number, *(state(name=band.name, omega=band.omega) for band in bands))
    assert 0.9 * MAX_PER_S <= len(hub.sent) / 10.0 <= 1.1 * MAX_PER_S


def test_what_signing_costs_is_bounded() -> None:
    """At most half of a core is spent on `MAX_PER_S` frames a second, on the slowest machine that runs this."""
    frames = 400
    cost: list[float] = []
    for signer in (None, Signer(SEED)):
        hub = Publisher(signer=signer)
        began = time.process_time()
        for number in range(frames):
            hub.tick(number * 4, state())
        cost.append((time.process_time() - began) / frames)
    assert len(hub.sent) == frames
    print(f"a sync frame takes {cost[0] * 1e6:.0f} µs, a signed one {cost[1] * 1e6:.0f} µs")
    assert cost[1] * MAX_PER_S < 0.5


# -- in a cell ---------------------------------------------------------------------------------------------------------


def syncs(bench: Bench) -> list[tuple[str, bytes]]:
    return [(entry.topic, entry.payload) for entry in bench.broker.trace if "/sync/" in entry.topic]


def test_a_cell_has_the_field_of_its_walkers() -> None:
    bench = Bench(3)
    bench.add_hub(HubConfig())
    for config in walkers(3, seed=3):
        bench.add_node(config)
    bench.run_for(25.0)
    frames = [decode_sync(payload) for topic, payload in syncs(bench) if topic.endswith("/sync/stride")][-40:]
    assert {frame.cell_size for frame in frames} == {3}
    first = frames[0]
    for frame in frames:
        assert frame.omega == pytest.approx(2 * math.pi * 0.784, rel=0.05)
        turned = first.omega * (frame.time_us - first.time_us) / 1e6
        assert abs(cmath.phase(frame.field / first.field * cmath.exp(-1j * turned))) < 0.5
    gap_us = [after.time_us - before.time_us for before, after in pairwise(frames)]
    assert set(gap_us) == {150_000, 200_000}


@pytest.mark.parametrize("config", [{"sync": {"enabled": False}}, {"security": {"secret": SEED.hex()}}])
def test_nothing_is_sent_that_nobody_wants_or_believes(config: dict[str, Any]) -> None:
    assert SyncPublisher.of(HubConfig.model_validate(config), TOPICS, 1, lambda _topic, _payload: True) is None


def test_a_hub_with_a_signing_key_signs() -> None:
    bench = Bench(3)
    hub, nodes = authenticated(HubConfig(), walkers(2, seed=3), seed=3)
    keys = {"secret": hub.security.secret.get_secret_value(), "signing_key": SEED.hex()}  # type: ignore[union-attr]
    bench.add_hub(hub.model_copy(update={"security": HubSecurity.model_validate(keys)}))
    for node in nodes:
        bench.add_node(node)
    bench.run_for(15.0)
    sent = syncs(bench)
    verifier = Verifier(Signer(SEED).public_key)
    assert len(sent) > 20
    assert all(verifier.open(topic, payload) == payload for topic, payload in sent)
