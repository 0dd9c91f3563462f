"""Whatever goes wrong: nothing damaged is believed, outputs rest, and when it is over everything is as before."""

import itertools
import json
from dataclasses import replace

import pytest

from becomingone.hub.config import HubConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated, walkers
from becomingone.sim.plan import FaultPlan
from becomingone.wire.frame import decode_frame

from .trials import BASE, LAMP, STALE_S, CellTrial, LinkTrial, Log


@pytest.mark.parametrize("seed", range(2))
def test_a_cell_under_faults(seed, tmp_path):
    CellTrial(seed, tmp_path).check()


@pytest.mark.parametrize("seed", range(20))
def test_links_under_faults(seed):
    assert LinkTrial(seed).check() > 0


@pytest.mark.campaign
@pytest.mark.parametrize("hundred", range(20))
def test_many_cells_under_faults(hundred, tmp_path):
    for seed in range(100 * hundred, 100 * hundred + 100):
        try:
            CellTrial(seed, tmp_path).check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


@pytest.mark.campaign
@pytest.mark.parametrize("thousand", range(10))
def test_many_links_under_faults(thousand):
    for seed in range(1000 * thousand, 1000 * thousand + 1000):
        try:
            LinkTrial(seed).check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


def cell(plan=None, *, nodes=2, seed=1, log=None, sealed=True, fields=None):
    bench = Bench(seed, faults=FaultPlan.model_validate(plan or {}), log=log)
    hub, configs = HubConfig.model_validate({}), walkers(nodes, seed=7)
    if sealed:
        hub, configs = authenticated(hub, configs, seed=seed)
    bench.add_hub(hub)
    for config in configs:
        bench.add_node(type(config).model_validate({**config.model_dump(), **(fields or {})}))
    return bench


def test_of_many_damaged_frames_none_reaches_the_state():
    """A flipped bit of a phase makes another phase; only the seal tells."""
    log = Log()
    way = {"corrupt": 0.3}
    spoilt = cell({"network": {"paths": [{"clients": ["n*"], "up": way}]}}, log=log)
    sound = cell()
    for bench in (spoilt, sound):
        bench.run_for(15.0)
    frames = [event for event in log if "/phase/" in event.topic and event.client.startswith("becomingone")]
    sent = {event.payload for event in frames if event.kind == "send"}
    came = [event.payload for event in frames if event.kind == "deliver"]
    damaged = sum(payload not in sent for payload in came)
    snapshot = spoilt.snapshot()
    assert damaged > 60
    assert snapshot["frames"] <= len(came) - damaged
    assert snapshot["frames"] > 150
    reasons = snapshot["refused"]
    assert reasons["forged"] > 30
    assert sum(reasons.values()) >= damaged
    for name in ("order", "coherence"):
        assert snapshot[name] == pytest.approx(sound.snapshot()[name], abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_a_silent_death_is_shown_within_three_intervals(seed):
    """Neither will nor goodbye: the broker believes in the node for 15 s, the hub's own timer does not."""
    rough = {"delay_ms": {"kind": "exponential", "mean": 20}, "loss": 0.02}
    bench = cell({"network": {"paths": [{"up": rough, "down": rough}]}}, seed=seed)
    bench.run_for(10.0 + seed / 7)
    state = f"{BASE}/node/n002/state"
    assert bench.broker.retained[state] == b"ready"
    bench.kill("n002", silent=True)
    died_ns = bench.scheduler.monotonic_ns()
    while bench.broker.retained[state] != b"lost":
        bench.run_for(0.01)
        assert bench.scheduler.monotonic_ns() - died_ns < 10e9
    interval_s = json.loads(bench.broker.retained[f"{BASE}/node/n002/about"])["interval_s"]
    bound_s = max(3.0, 3 * interval_s)
    # The last frame may be as late as packets are; the hub looks twenty times a second.
    assert (bench.scheduler.monotonic_ns() - died_ns) / 1e9 <= bound_s + 0.05 + 1.0
    assert bench.snapshot()["nodes"]["n002"]["state"] in ("ready", "lost")
    bench.run_for(1.1)
    assert bench.snapshot()["nodes"]["n002"]["state"] == "lost"
    assert bench.snapshot()["nodes"]["n001"]["state"] == "ready"


@pytest.mark.parametrize("fault", ["hub dies", "machine of the hub dies", "broker dies", "partition", "half open"])
def test_an_output_rests_when_commands_stop(fault, tmp_path):
    (tmp_path / "lamp.py").write_text(LAMP)
    light = {"name": "light", "kind": "lamp", "stale_s": STALE_S, "alone_s": 0}
    bench = cell({}, fields={"outputs": [light], "drop_in": tmp_path})
    bench.run_for(8.0)
    screen = bench.ports["n001"].screen
    assert screen.getvalue().splitlines()[-1].startswith("apply")
    node = "becomingone.home.node.n001"
    {
        "hub dies": lambda: bench.kill("hub"),
        "machine of the hub dies": lambda: bench.kill("hub", silent=True),
        "broker dies": lambda: bench.broker.crash(silent=True),
        "partition": lambda: setattr(bench.broker.network.path(node), "blocks", 1),
        "half open": lambda: bench.broker.lose(node),
    }[fault]()
    bench.run_for(STALE_S + 0.01)
    told = [line.split() for line in screen.getvalue().splitlines()]
    assert told[-1][0] == "rest"
    applied = max(int(at) for what, at in told if what == "apply")
    assert int(told[-1][1]) - applied <= STALE_S * 1e9
    assert all(
        int(after) - int(at) <= 1e9 for (what, at), (_, after) in itertools.pairwise(told[2:-1]) if what == "apply"
    )


def test_a_clock_that_is_set_disturbs_no_phase_until_the_node_starts_again():
    steps = [{"kind": "clock_step", "at_s": 5, "clients": ["n002"], "by_s": 30}]
    alone = {"clock": {"sync": False, "sigma_s": 1e-4}}
    bench, other = cell({"faults": steps}, fields=alone), cell({}, fields=alone)
    for one in (bench, other):
        one.run_for(12.0)
    assert bench.snapshot() == other.snapshot()
    assert bench.snapshot()["bands"]["stride"]["channels"] == 2
    second = authenticated(HubConfig.model_validate({}), walkers(2, seed=7), seed=1)[1][1]
    bench.add_node(type(second).model_validate({**second.model_dump(), **alone}))
    bench.run_for(6.0)
    node = bench.snapshot()["nodes"]["n002"]
    assert node["refused"]["future"] > 40  # half a minute ahead: counted, and believed by nobody
    assert not any(band["valid"] for channel in node["channels"].values() for band in channel["bands"].values())


def test_oscillators_that_drift_are_seen_as_they_are_where_the_hub_does_not_tell_the_time():
    drifts = [{"clients": ["n001"], "drift_ppm": -5000}, {"clients": ["n002"], "drift_ppm": 5000}]
    bench = cell({"clocks": drifts}, fields={"clock": {"sync": False, "sigma_s": 1e-4}})
    bench.run_for(10.0)
    for node, ahead_us in (("n001", -50_000), ("n002", 50_000)):
        last = [entry for entry in bench.broker.trace if f"/{node}/phase/" in entry.topic][-1]
        # A block is sent when its last sample is due, which may be up to a sample late.
        assert decode_frame(last.payload).last_time_us - last.time_us == pytest.approx(ahead_us, abs=25_000)
    assert bench.snapshot()["bands"]["stride"]["channels"] == 2


@pytest.mark.parametrize("fault", ["damaged", "overtaken"])
def test_a_word_of_a_node_that_was_lost_on_its_way_to_the_hub_is_asked_for_again(fault):
    """A state is retained and said once; what becomes of it on the hub's own way only the hub can notice."""
    bench = cell()
    deliver = bench.broker._to
    done = []

    def spoil(session, message):
        mine = session.client_id.endswith(".hub")
        if mine and fault == "damaged" and message.topic.endswith("/n002/state") and not done:
            done.append(fault)
            deliver(session, replace(message, payload=b"reedy"))
        elif mine and fault == "overtaken" and message.topic.endswith("/n002/about"):
            done.append(fault)
            bench.scheduler.call_at(20_000_000, lambda: deliver(session, message))
        else:
            deliver(session, message)

    bench.broker._to = spoil
    bench.run_for(0.9)
    assert done
    assert set(bench.hub.refused) == {{"damaged": "state", "overtaken": "no_about"}[fault]}
    bench.run_for(2.1)
    assert bench.snapshot()["nodes"]["n002"]["state"] == "ready"
