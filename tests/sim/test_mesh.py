"""A node and a hub on the simulated broker, in virtual time."""

import json

import pytest

from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.wire.frame import Flags, decode_frame

BASE = "becomingone/home"


def walker(node: str, phase: float, *, seed: int = 1, noise: float = 0.1, frequency: float = 0.784) -> NodeConfig:
    return NodeConfig.model_validate(
        {
            "node": node,
            "inputs": [
                {
                    "name": "leg",
                    "kind": "synthetic",
                    "bands": ["stride"],
                    "options": {
                        "frequency_hz": frequency,
                        "amplitude": 1.0,
                        "phase_rad": phase,
                        "noise": noise,
                        "rate_hz": 50,
                        "seed": seed,
                        "floor": 0.05,
                    },
                }
            ],
        }
    )


def lamp() -> NodeConfig:
    return NodeConfig.model_validate({"node": "lamp", "outputs": [{"name": "light", "kind": "terminal"}]})


def bench_of(seed: int, *nodes: NodeConfig) -> Bench:
    bench = Bench(seed)
    bench.add_hub(HubConfig())
    for node in nodes:
        bench.add_node(node)
    return bench


def retained_snapshot(bench: Bench) -> dict:
    return json.loads(bench.broker.retained[f"{BASE}/snapshot"])


def test_same_seed_same_bytes() -> None:
    traces = []
    for _ in range(2):
        bench = bench_of(7, walker("thigh", 0.0), walker("shank", 0.75, seed=2), lamp())
        bench.run_for(20.0)
        traces.append([(e.time_us, e.client_id, e.topic, e.payload) for e in bench.broker.trace])
    assert traces[0] == traces[1]
    assert len(traces[0]) > 400


def test_another_seed_delivers_at_other_times() -> None:
    times = []
    for seed in (7, 8):
        bench = bench_of(seed, walker("thigh", 0.0))
        bench.run_for(3.0)
        times.append([e.time_us for e in bench.broker.trace])
    assert times[0] != times[1]


def test_two_walkers_are_seen_at_their_angle() -> None:
    bench = bench_of(1, walker("thigh", 0.0), walker("shank", 0.75, seed=2))
    bench.run_for(60.0)
    snapshot = retained_snapshot(bench)
    stride = snapshot["bands"]["stride"]
    assert stride["channels"] == 2
    assert stride["coherence"] > 0.95
    assert stride["order"] == pytest.approx(0.9305, abs=0.01)  # |1 + e^{0.75i}| / 2
    assert stride["locking"] > 0.99
    phases = {name: node["channels"]["tone"]["bands"]["stride"]["phase"] for name, node in snapshot["nodes"].items()}
    apart = (phases["shank"] - phases["thigh"] + 3.141592654) % 6.283185307 - 3.141592654
    assert apart == pytest.approx(0.75, abs=0.03)
    assert snapshot["missing"] == 0
    assert snapshot["refused"] == {}


def test_what_strangers_read() -> None:
    bench = bench_of(1, walker("thigh", 0.0), walker("shank", 0.75, seed=2))
    bench.run_for(30.0)
    retained = bench.broker.retained
    snapshot = retained_snapshot(bench)
    assert retained[f"{BASE}/hub/state"] == b"ready"
    assert retained[f"{BASE}/node/thigh/state"] == b"ready"
    assert float(retained[f"{BASE}/coherence"]) == pytest.approx(snapshot["coherence"], abs=0.05)
    assert 0.0 <= float(retained[f"{BASE}/order"]) <= 1.0
    assert -3.1416 <= float(retained[f"{BASE}/band/stride/phase"]) <= 3.1416
    assert not any("/phase/stride/" in topic for topic in retained)  # frames are never retained
    about = json.loads(retained[f"{BASE}/node/thigh/about"])
    assert about["channels"][0]["origin"] == "simulated"


def test_a_faster_replay_says_so() -> None:
    options = {
        "file": "package:weather-three-airports/weather.csv.gz",
        "columns": {"temperature": "temperature_degF"},
        "unit": "°F",
        "quantity": "temperature",
        "floor": 0.5,
        "rate_hz": 1 / 3600,
        "time_column": "time_utc",
        "speed": 3600,
        "where": {"station": "EWR"},
    }
    weather = {"node": "sky", "hardware": "pi_2", "inputs": [{"name": "w", "kind": "recording", "options": options}]}
    bench = bench_of(1, NodeConfig.model_validate(weather))
    bench.run_for(90.0)
    channel = json.loads(bench.broker.retained[f"{BASE}/node/sky/about"])["channels"][0]
    assert (channel["origin"], channel["speed"], channel["rate_hz"]) == ("replayed", 3600, pytest.approx(1.0))
    snapshot = retained_snapshot(bench)
    assert snapshot["nodes"]["sky"]["channels"]["temperature"]["speed"] == 3600
    assert snapshot["bands"]["replayed_day"]["channels"] == 1
    frames = [decode_frame(entry.payload) for entry in bench.broker.trace if "/phase/replayed_day/" in entry.topic]
    assert all(frame.flags & Flags.REPLAYED for frame in frames)


def test_frames_say_that_they_are_simulated() -> None:
    bench = bench_of(1, walker("thigh", 0.0))
    bench.run_for(5.0)
    frames = [
        decode_frame(e.payload) for e in bench.broker.trace if "/phase/" in e.topic and e.client_id.endswith("thigh")
    ]
    assert len(frames) > 30
    assert all(frame.flags & Flags.SIMULATED for frame in frames)
    assert [frame.seq for frame in frames] == list(range(frames[0].seq, frames[0].seq + len(frames)))


def test_a_node_that_is_killed_is_lost_and_comes_back() -> None:
    bench = bench_of(3, walker("thigh", 0.0), walker("shank", 0.75, seed=2))
    bench.run_for(30.0)
    bench.kill("shank")
    bench.run_for(5.0)
    assert bench.broker.retained[f"{BASE}/node/shank/state"] == b"lost"
    snapshot = retained_snapshot(bench)
    assert snapshot["bands"]["stride"]["channels"] == 1  # the mesh goes on
    assert snapshot["nodes"]["thigh"]["state"] == "ready"
    bench.add_node(walker("shank", 0.75, seed=2))
    bench.run_for(10.0)
    assert bench.broker.retained[f"{BASE}/node/shank/state"] == b"ready"
    snapshot = retained_snapshot(bench)
    assert snapshot["bands"]["stride"]["channels"] == 2
    assert snapshot["missing"] == 0
    kinds = [
        e.topic.rsplit("/", 1)[1] for e in bench.broker.trace if "/event/" in e.topic and not e.topic.endswith("/last")
    ]
    assert kinds.count("lost") == 1
    assert kinds.count("joined") == 3


def test_silence_without_a_will_is_noticed_within_three_intervals() -> None:
    """amqtt enforces no keepalive: the hub's own age timer has to find a hung node."""
    bench = bench_of(3, walker("thigh", 0.0))
    bench.run_for(5.0)
    bench.nodes["thigh"].halt()  # the link stands, nothing comes
    bench.run_for(3.2)
    assert bench.broker.retained[f"{BASE}/event/lost/last"]
    # and the node, whose link still works, says that it is there
    assert bench.broker.retained[f"{BASE}/node/thigh/state"] == b"ready"


def test_a_broker_crash_heals() -> None:
    bench = bench_of(5, walker("thigh", 0.0), walker("shank", 0.75, seed=2), lamp())
    bench.run_for(20.0)
    bench.broker.crash()
    bench.run_for(10.0)
    assert bench.broker.retained == {}
    bench.broker.restart()
    bench.run_for(5.0)
    retained = bench.broker.retained
    assert retained[f"{BASE}/hub/state"] == b"ready"
    assert all(retained[f"{BASE}/node/{node}/state"] == b"ready" for node in ("thigh", "shank", "lamp"))
    assert retained_snapshot(bench)["bands"]["stride"]["channels"] == 2


def test_the_display_follows_the_mesh_and_rests_without_it() -> None:
    bench = bench_of(1, walker("thigh", 0.0), walker("shank", 0.2, seed=2), lamp())
    bench.run_for(30.0)
    state = json.loads(bench.broker.retained[f"{BASE}/node/lamp/output/light/state"])
    assert state["doing"] == "command"
    stride = retained_snapshot(bench)["bands"]["stride"]
    assert state["values"]["brightness"] == pytest.approx(stride["coherence"], abs=0.05)
    assert 0 <= state["values"]["hue"] <= 360
    assert "display hue" in bench.ports["lamp"].screen.getvalue()
    bench.kill("thigh")
    bench.kill("shank")
    bench.run_for(15.0)
    state = json.loads(bench.broker.retained[f"{BASE}/node/lamp/output/light/state"])
    what = {name: state[name] for name in ("doing", "why", "values")}
    assert what == {"doing": "rest", "why": "no fresh command, and nothing here is coherent", "values": {}}


def test_figures_are_withdrawn_when_nothing_stands_behind_them() -> None:
    bench = bench_of(1, walker("thigh", 0.0))
    bench.run_for(15.0)
    assert f"{BASE}/band/stride/coherence" in bench.broker.retained
    bench.kill("thigh")
    bench.run_for(2.0)
    assert f"{BASE}/band/stride/coherence" not in bench.broker.retained
    assert f"{BASE}/coherence" not in bench.broker.retained


def test_a_tone_becomes_significant_and_noise_does_not() -> None:
    bench = bench_of(1, walker("thigh", 0.0), walker("shank", 0.75, seed=2))
    bench.run_for(200.0)
    assert retained_snapshot(bench)["bands"]["stride"]["collapsed"]
    event = json.loads(bench.broker.retained[f"{BASE}/event/collapse/last"])
    assert event["p"] < 0.01
    assert event["channels"] == 2
    noise = bench_of(1, *(walker(f"n{i}", 0.0, seed=i, noise=1.0, frequency=5.0) for i in range(2)))
    noise.run_for(200.0)
    assert not retained_snapshot(noise)["bands"]["stride"]["collapsed"]


def test_stopping_says_goodbye() -> None:
    bench = bench_of(1, walker("thigh", 0.0))
    bench.run_for(5.0)
    done: list[str] = []
    bench.nodes["thigh"].stop(lambda: done.append("node"))
    bench.run_for(0.1)
    assert bench.hub is not None
    bench.hub.stop(lambda: done.append("hub"))
    bench.run_for(0.1)
    assert done == ["node", "hub"]
    assert bench.broker.retained[f"{BASE}/node/thigh/state"] == b"disconnected"
    assert bench.broker.retained[f"{BASE}/hub/state"] == b"disconnected"
    assert f"{BASE}/coherence" not in bench.broker.retained


def test_a_hub_that_comes_later_asks_for_what_it_missed() -> None:
    bench = Bench(2)
    bench.add_node(walker("thigh", 0.0))
    bench.run_for(2.0)
    bench.broker.retained.pop(f"{BASE}/node/thigh/about")  # a broker that forgot
    bench.add_hub(HubConfig())
    bench.run_for(10.0)
    snapshot = retained_snapshot(bench)
    assert snapshot["refused"]["no_about"] >= 1
    assert snapshot["bands"]["stride"]["channels"] == 1
