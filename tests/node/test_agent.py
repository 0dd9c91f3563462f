"""A node's account of itself, in virtual time: when it is ready, what it corrects, what it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from becomingone.config.loader import digest
from becomingone.node.config import NodeConfig
from becomingone.node.config_file import Loaded
from becomingone.node.pipeline import ChannelId
from becomingone.runner import InlineRunner
from becomingone.sim.bench import Bench
from becomingone.sim.broker import SimLink
from becomingone.wire.command import NodeCommand, OutputCommand, encode_command, encode_node_command
from becomingone.wire.frame import Flags, PhaseFrame, decode_frame

from .fakes import HeldRunner

BASE = "becomingone/home/node/n"
TONE = {"kind": "synthetic", "bands": ["stride"], "options": {"frequency_hz": 0.78, "rate_hz": 50}}
SILENT = {"name": "ears", "kind": "microphone"}  # a simulated node has no sound card

FLAKY = '''\
"""A sensor that cannot be opened before `opens_s`, and whose reads fail between `fails_s` and `mends_s`."""

from pydantic import BaseModel

from becomingone.devices.contract import Channel


class Options(BaseModel, frozen=True, extra="forbid"):
    opens_s: float = 0.0
    fails_s: float = 1e9
    mends_s: float = 1e9
    name: str = "a"


class Device:
    origin = "live"

    def __init__(self, options, ports):
        self._options, self._ports = options, ports
        self.channels = (Channel(options.name, "V", 10.0, "voltage", 0.0),)
        if self._now() < options.opens_s:
            raise OSError("not there yet")

    def _now(self):
        return self._ports.clock.monotonic_ns() / 1e9

    def read(self):
        if self._options.fails_s <= self._now() < self._options.mends_s:
            raise OSError("loose wire")
        return {self._options.name: self._now() % 1.0}

    def close(self):
        pass
'''

LAMP = '''\
"""A display that breaks at will: see `broken`."""

from pydantic import BaseModel


class Options(BaseModel, frozen=True, extra="forbid"):
    role: str = "display"
    stuck: bool = False


class Device:
    def __init__(self, options, ports):
        self.role, self._options, self._ports, self._started = options.role, options, ports, False

    def apply(self, values):
        self._started = True

    def rest(self):
        if self._options.stuck and self._started:
            raise OSError("stuck")
        self._ports.terminal.write("rest\\n")
'''


@pytest.fixture
def drop_in(tmp_path: Path) -> Path:
    (tmp_path / "flaky.py").write_text(FLAKY)
    (tmp_path / "lamp.py").write_text(LAMP)
    return tmp_path


RESTING = {"doing": "rest", "values": {}, "hub_boot": None, "id": None}


def config_of(**fields: Any) -> NodeConfig:
    return NodeConfig.model_validate({"node": "n", **fields})


def retained(bench: Bench, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(bench.broker.retained[f"{BASE}/{name}"])
    return content


def states(bench: Bench) -> list[str]:
    return [entry.payload.decode("latin-1") for entry in bench.broker.trace if entry.topic == f"{BASE}/state"]


def frames(bench: Bench, band: str = "stride") -> list[PhaseFrame]:
    return [decode_frame(e.payload) for e in bench.broker.trace if f"/phase/{band}/" in e.topic]


def stranger(bench: Bench) -> SimLink:
    link = bench.client("stranger")
    link.start()
    bench.run_for(0.01)
    return link


# Ready


def test_a_node_without_inputs_is_ready_at_once() -> None:
    bench = Bench(1)
    bench.add_node(config_of())
    bench.run_for(0.1)
    assert states(bench) == ["ready"]
    assert retained(bench, "about")["interval_s"] == 30.0


def test_a_node_is_ready_when_every_device_has_delivered_or_failed() -> None:
    bench = Bench(1)
    bench.add_node(config_of(inputs=[{"name": "t", **TONE}, SILENT]))
    bench.run_for(0.5)
    assert states(bench)[-1] == "ready"
    devices = {device["name"]: device for device in retained(bench, "about")["devices"]}
    assert devices["t"]["available"]
    assert not devices["ears"]["available"]
    assert devices["ears"]["reason"] == "a simulated node has no sound card"


def test_a_device_that_never_answers_holds_up_nobody(drop_in: Path) -> None:
    """Its thread waits for ever; the node says so, is ready, and sends what it has."""

    class Nothing:
        def submit(self, *_: object) -> None:
            pass

        def close(self) -> None:
            pass

    bench = Bench(1)
    config = config_of(inputs=[{"name": "t", **TONE}, {"name": "f", "kind": "flaky"}], drop_in=drop_in)
    bench.add_node(config, make_runner=lambda name: Nothing() if name == "f" else InlineRunner(bench.scheduler))
    bench.run_for(4.0)
    assert states(bench)[-1] == "init"
    assert len(frames(bench)) > 20
    bench.run_for(2.0)
    assert states(bench)[-1] == "ready"
    assert retained(bench, "about")["devices"][1]["reason"] == "its opening has not returned"


def test_a_device_that_comes_and_goes_is_told_and_its_numbers_go_on(drop_in: Path) -> None:
    bench = Bench(1)
    device = {
        "name": "f",
        "kind": "flaky",
        "bands": ["stride"],
        "options": {"opens_s": 3.0, "fails_s": 8.0, "mends_s": 12},
    }
    bench.add_node(config_of(inputs=[device], drop_in=drop_in))
    bench.run_for(0.5)
    about = retained(bench, "about")
    assert states(bench)[-1] == "ready"
    assert (about["devices"][0]["reason"], about["channels"], about["interval_s"]) == ("not there yet", [], 30.0)
    bench.run_for(7.0)
    about = retained(bench, "about")
    assert about["devices"][0]["available"]
    assert about["channels"][0]["bands"] == ["stride"]
    assert about["interval_s"] == 0.1
    bench.run_for(2.0)
    about = retained(bench, "about")
    assert (about["devices"][0]["reason"], about["interval_s"]) == ("loose wire", 30.0)
    assert about["channels"] != []  # it has the channel, whether the device works just now or not
    bench.run_for(30.0)
    assert retained(bench, "about")["devices"][0]["available"]
    seqs = [frame.seq for frame in frames(bench)]
    assert seqs == list(range(len(seqs)))
    assert states(bench)[-1] == "ready"


def test_two_devices_with_one_name_for_a_channel(drop_in: Path) -> None:
    bench = Bench(1)
    inputs = [{"name": f"f{n}", "kind": "flaky", "bands": ["stride"]} for n in range(2)]
    bench.add_node(config_of(inputs=inputs, drop_in=drop_in))
    bench.run_for(5.0)
    about = retained(bench, "about")
    assert [channel["device"] for channel in about["channels"]] == ["f0"]
    assert [device["available"] for device in about["devices"]] == [True, False]
    assert "give one of them a prefix" in about["devices"][1]["reason"]


def test_a_channel_name_that_the_wire_does_not_take_is_a_reason_and_no_crash(drop_in: Path) -> None:
    bench = Bench(1)
    bench.add_node(config_of(inputs=[{"name": "f", "kind": "flaky", "options": {"name": "A B"}}], drop_in=drop_in))
    bench.run_for(5.0)
    assert "must be 1 to 63" in retained(bench, "about")["devices"][0]["reason"]
    assert states(bench)[-1] == "ready"


# State


@pytest.mark.parametrize("lie", [b"lost", b"disconnected", b"", b"\xff"])
def test_what_others_say_of_its_state_is_corrected(lie: bytes) -> None:
    bench = Bench(1)
    bench.add_node(config_of())
    bench.run_for(1.0)
    stranger(bench).publish(f"{BASE}/state", lie, qos=1, retain=True)
    bench.run_for(0.1)
    assert states(bench) == ["ready", lie.decode("latin-1"), "ready"]
    assert bench.broker.retained[f"{BASE}/state"] == b"ready"


def test_stopping_is_the_last_word() -> None:
    bench = Bench(1)
    bench.add_node(config_of(inputs=[{"name": "t", **TONE}], outputs=[{"name": "light", "kind": "terminal"}]))
    bench.run_for(2.0)
    done: list[bool] = []
    bench.nodes["n"].stop(lambda: done.append(True))
    bench.run_for(0.1)
    count = len(bench.broker.trace)
    bench.run_for(60.0)
    assert done == [True]
    assert len(bench.broker.trace) == count
    assert states(bench)[-1] == "disconnected"
    assert retained(bench, "output/light/state") == {**RESTING, "why": "the node stops"}


def test_stopping_without_a_broker() -> None:
    bench = Bench(1)
    bench.broker.crash()
    bench.add_node(config_of())
    bench.run_for(5.0)
    done: list[bool] = []
    bench.nodes["n"].stop(lambda: done.append(True))
    bench.run_for(60.0)
    assert done == [True]


# Health


def test_health_figures() -> None:
    bench = Bench(1)
    bench.add_node(config_of(inputs=[{"name": "t", **TONE}], health_s=5, clock={"sigma_s": 0.02}))
    bench.run_for(21.0)
    health = retained(bench, "health")
    told = [json.loads(e.payload) for e in bench.broker.trace if e.topic == f"{BASE}/health"]
    assert [h["uptime_s"] for h in told[1:]] == [5.0, 10.0, 15.0, 20.0]
    assert told[0]["uptime_s"] < 0.1
    topics = [entry.topic for entry in bench.broker.trace]
    last = len(topics) - 1 - topics[::-1].index(f"{BASE}/health")
    assert health["frames"] == sum("/phase/" in topic for topic in topics[:last])
    assert (health["dropped"], health["dropped_reasons"], health["refused_commands"]) == (0, {}, {})
    assert health["clock_sigma_s"] == pytest.approx(0.02)
    assert (health["rss_bytes"], health["cpu_s"]) == (None, 0.0)  # it has no process of its own


def test_health_and_frames_follow_the_state_that_came_back_from_the_broker() -> None:
    """A broker may give what it stores before what it still has to route: health must not overtake its description."""
    bench = Bench(1)
    bench.add_node(config_of(inputs=[{"name": "t", **TONE}], health_s=1))
    bench.run_for(5.0)
    bench.broker.crash()
    bench.broker.restart()
    crashed = len(bench.broker.trace)
    bench.run_for(5.0)
    for trace in (bench.broker.trace[:crashed], bench.broker.trace[crashed:]):
        kinds = [entry.topic.removeprefix(f"{BASE}/").split("/")[0] for entry in trace]
        assert {"health", "phase"} <= set(kinds)
        assert kinds.index("about") < kinds.index("state") < min(kinds.index("health"), kinds.index("phase"))


def test_no_frame_counts_as_dropped_before_the_first_connection() -> None:
    bench = Bench(1)
    bench.broker.crash()
    bench.add_node(config_of(inputs=[{"name": "t", **TONE}]))
    bench.run_for(10.0)
    bench.broker.restart()
    bench.run_for(5.0)
    assert bench.nodes["n"].dropped.total() == 0
    bench.broker.crash()
    bench.run_for(2.0)
    bench.broker.restart()
    bench.run_for(35.0)
    health = retained(bench, "health")
    assert 15 <= health["dropped"] <= 45
    assert health["dropped_reasons"] == {"link down": health["dropped"]}


# Commands


def test_a_rebirth_is_obeyed_once_and_in_time() -> None:
    bench = Bench(1)
    bench.add_node(config_of(health_s=1))
    bench.run_for(1.05)
    link = stranger(bench)
    now_us = bench.scheduler.time_us()

    def abouts() -> int:
        return sum(entry.topic == f"{BASE}/about" for entry in bench.broker.trace)

    before = abouts()
    for boot, number, expires_us in (
        (1, 0, now_us + 10**6),
        (1, 0, now_us + 10**6),
        (1, 1, now_us - 1),
        (0, 9, now_us + 10**6),
    ):
        link.publish(f"{BASE}/cmd/rebirth", encode_node_command(NodeCommand(boot, number, expires_us)), qos=1)
    link.publish(f"{BASE}/cmd/rebirth", b"please", qos=1)
    link.publish(f"{BASE}/cmd/restart", encode_node_command(NodeCommand(1, 5, now_us + 10**6)), qos=1)
    bench.run_for(2.0)
    assert abouts() == before + 1
    refused = {"replayed": 2, "expired": 1, "type": 1, "before_start": 1}
    assert bench.nodes["n"].refused == refused
    assert retained(bench, "health")["refused_commands"] == refused


def command(bench: Bench, number: int, **values: float) -> bytes:
    expires_us = bench.scheduler.time_us() + 10**6
    return encode_command(OutputCommand(boot=1, id=number, expires_us=expires_us, values=values))


def test_refused_output_commands_stand_in_health() -> None:
    bench = Bench(1)
    bench.add_node(config_of(outputs=[{"name": "light", "kind": "terminal"}], health_s=1))
    bench.run_for(1.05)
    link = stranger(bench)
    link.publish(f"{BASE}/output/light/set", command(bench, 0, hue=10.0, brightness=0.5), qos=1)
    link.publish(f"{BASE}/output/light/set", command(bench, 0, hue=10.0, brightness=0.5), qos=1)
    link.publish(f"{BASE}/output/light/set", command(bench, 1, volume=0.5), qos=1)
    bench.run_for(1.0)
    assert retained(bench, "health")["refused_commands"] == {"replayed": 1, "range": 1}
    assert retained(bench, "output/light/state")["values"] == {"hue": 10.0, "brightness": 0.5}


def test_outputs_rest_when_the_broker_is_gone_and_say_so_when_it_is_back() -> None:
    bench = Bench(1)
    bench.add_node(config_of(outputs=[{"name": "light", "kind": "terminal", "stale_s": 60}]))
    bench.run_for(0.1)
    link = stranger(bench)
    link.publish(f"{BASE}/output/light/set", command(bench, 0, hue=10.0, brightness=0.5), qos=1)
    bench.run_for(0.1)
    assert bench.ports["n"].screen.getvalue().splitlines() == ["display rests", "display hue 10 brightness 0.50"]
    bench.broker.crash()
    bench.run_for(0.1)
    assert bench.ports["n"].screen.getvalue().splitlines()[-1] == "display rests"
    bench.broker.restart()
    bench.run_for(5.0)
    why = "the broker is out of reach, and nothing here is coherent"
    assert retained(bench, "output/light/state") == {**RESTING, "why": why}


def test_an_output_that_is_stuck_keeps_no_other_from_resting_nor_the_node_from_stopping(drop_in: Path) -> None:
    bench = Bench(1)
    outputs = [{"name": "stuck", "kind": "lamp", "options": {"stuck": True}}, {"name": "good", "kind": "lamp"}]
    bench.add_node(config_of(outputs=outputs, drop_in=drop_in))
    bench.run_for(0.1)
    link = stranger(bench)
    for name in ("stuck", "good"):
        link.publish(f"{BASE}/output/{name}/set", command(bench, 0, hue=1.0), qos=1)
    bench.run_for(0.1)
    done: list[bool] = []
    bench.nodes["n"].stop(lambda: done.append(True))
    bench.run_for(0.1)
    assert done == [True]
    assert retained(bench, "output/good/state") == {**RESTING, "why": "the node stops"}
    stuck = retained(bench, "output/stuck/state")
    assert (stuck["doing"], stuck["why"]) == ("command", "cannot rest (the node stops): stuck")
    assert states(bench)[-1] == "disconnected"


def test_an_output_of_a_role_that_nobody_drives_takes_nobody_down(drop_in: Path) -> None:
    lamps = [{"name": "l", "kind": "lamp", "options": {"role": "heater"}}, {"name": "m", "kind": "lamp"}]
    bench = Bench(1)
    node = bench.add_node(config_of(outputs=lamps, drop_in=drop_in))
    bench.run_for(1)
    assert node.state == "ready"
    about = retained(bench, "about")
    assert [output["name"] for output in about["outputs"]] == ["m"]
    assert [(d["name"], d["available"]) for d in about["devices"]] == [("l", False), ("m", True)]
    assert about["devices"][0]["reason"].startswith("l: the role must be one of")


# The bench itself


def test_a_node_that_is_added_again_takes_the_place_of_the_one_before() -> None:
    bench = Bench(1)
    for _ in range(2):
        bench.add_node(config_of(inputs=[{"name": "t", **TONE}]))
        bench.run_for(5.0)
    bench.run_for(5.0)
    late = [frame for frame in frames(bench) if frame.time_us > 1_700_000_006_000_000]
    assert {frame.boot for frame in late} == {2}
    assert len({frame.time_us for frame in late}) == len(late)
    assert states(bench)[-1] == "ready"


def test_a_broker_that_dies_while_somebody_connects_is_tried_again() -> None:
    for ms in range(1, 20):
        bench = Bench(ms)
        link = bench.client("c")
        link.start()
        bench.run_for(ms * 50e-6)
        bench.broker.crash()
        bench.run_for(0.1)
        bench.broker.restart()
        bench.run_for(10.0)
        assert link.connected, ms


def test_what_was_not_acknowledged_does_not_overtake_what_is_said_after_reconnecting() -> None:
    """MQTT-4.6.0-1: a client sends again in the original order; a retained state must not go back in time."""
    bench = Bench(1)
    link = bench.client("c")
    said: list[str] = ["old"]
    link.on_up(lambda: link.publish("becomingone/x", said[0].encode(), qos=1, retain=True) and None)
    link.start()
    bench.run_for(1.0)
    link.publish("becomingone/x", b"older", qos=1, retain=True)
    bench.broker.cut("c")  # before it arrives
    said[0] = "new"
    bench.run_for(10.0)
    assert bench.broker.retained["becomingone/x"] == b"new"
    assert [e.payload for e in bench.broker.trace if e.topic == "becomingone/x"] == [b"old", b"older", b"new"]


# A configuration that changes while it runs


def apply(bench: Bench, **fields: Any) -> None:
    config = config_of(**fields)
    bench.nodes["n"].apply(Loaded(config, digest(config)))


def test_a_sensor_that_is_added_sends_and_one_that_is_taken_away_is_gone() -> None:
    bench = Bench(1)
    bench.add_node(config_of(inputs=[{**TONE, "name": "a", "prefix": "a_"}]))
    bench.run_for(3.0)
    apply(bench, inputs=[{**TONE, "name": "b", "prefix": "b_"}])
    bench.run_for(3.0)
    about = retained(bench, "about")
    assert [(channel["name"], channel["device"]) for channel in about["channels"]] == [("b_tone", "b")]
    assert [(device["name"], device["available"]) for device in about["devices"]] == [("b", True)]
    came = [(entry.time_us, entry.topic.rpartition("/")[2]) for entry in bench.broker.trace if "/phase/" in entry.topic]
    assert {name for _, name in came} == {"a_tone", "b_tone"}
    assert max(at for at, name in came if name == "a_tone") < min(at for at, name in came if name == "b_tone")


def test_a_sensor_that_is_not_named_goes_on_undisturbed_and_numbers_never_repeat() -> None:
    bench = Bench(1)
    kept, changed = {**TONE, "name": "a", "prefix": "a_"}, {**TONE, "name": "b", "prefix": "b_"}
    bench.add_node(config_of(inputs=[kept, changed]))
    bench.run_for(3.0)
    slower = {**changed, "options": {**changed["options"], "rate_hz": 25}}
    apply(bench, inputs=[kept, slower])
    bench.run_for(3.0)
    for name, gaps in (("a_tone", 1), ("b_tone", 2)):
        sent = [decode_frame(entry.payload) for entry in bench.broker.trace if entry.topic.endswith(name)]
        assert [frame.seq - sent[0].seq for frame in sent] == list(range(len(sent)))
        assert len(sent) > 40
        assert sum(bool(frame.flags & Flags.GAP) for frame in sent) <= gaps
    assert [channel["rate_hz"] for channel in retained(bench, "about")["channels"]] == [50, 25]


def test_another_pace_is_everybody_s() -> None:
    bench = Bench(1)
    bench.add_node(config_of(inputs=[{**TONE, "name": "a"}], health_s=30))
    bench.run_for(3.0)
    before = len(frames(bench))
    apply(bench, inputs=[{**TONE, "name": "a"}], frames_per_s=2, health_s=1)
    bench.run_for(4.0)
    assert len(frames(bench)) - before <= 10
    assert retained(bench, "about")["channels"][0]["interval_s"] == 0.5
    assert sum(entry.topic == f"{BASE}/health" for entry in bench.broker.trace) >= 4


def test_an_output_that_is_taken_away_rests_and_leaves_nothing_retained() -> None:
    bench = Bench(1)
    light = {"name": "light", "kind": "terminal"}
    bench.add_node(config_of(outputs=[light]))
    bench.run_for(0.1)
    link = stranger(bench)
    link.publish(f"{BASE}/output/light/set", command(bench, 0, hue=10.0, brightness=0.5), qos=1)
    bench.run_for(0.1)
    apply(bench, outputs=[{**light, "name": "other"}])
    bench.run_for(0.1)
    assert bench.ports["n"].screen.getvalue().splitlines()[-2:] == ["display rests", "display rests"]
    assert f"{BASE}/output/light/state" not in bench.broker.retained
    assert retained(bench, "output/other/state")["doing"] == "rest"
    link.publish(f"{BASE}/output/light/set", command(bench, 1, hue=10.0, brightness=0.5), qos=1)
    bench.run_for(0.1)
    assert bench.nodes["n"].refused == {"unknown_output": 1}
    assert [output["name"] for output in retained(bench, "about")["outputs"]] == ["other"]


# Its process


def test_its_process_is_told_when_it_is_at_work_and_of_what_is_missing(drop_in: Path) -> None:
    bench = Bench(1)
    flaky = {"name": "a", "kind": "flaky", "options": {"opens_s": 5.0}}
    bench.add_node(config_of(inputs=[flaky], drop_in=drop_in))
    bench.run_for(30.0)
    told = [call for call in bench.hosts["n"].calls if call[0] in ("ready", "status")]
    assert told[-1] == ("ready", "connected; 1 of 1 devices at work")
    assert sum(kind == "ready" for kind, _ in told) == 1


def test_a_sensor_that_worked_and_hangs_is_something_that_a_restart_may_cure() -> None:
    bench = Bench(1)
    held: list[HeldRunner] = []

    def runner(_name: str) -> HeldRunner:
        held.append(HeldRunner(bench.scheduler))
        return held[-1]

    node = bench.add_node(config_of(inputs=[{"name": "a", "kind": "host"}], life={"hung_s": 10}), make_runner=runner)
    held[0].answer()  # it is opened
    bench.run_for(60.0)
    assert node.hung() is None  # it has never answered in this life: a restart has been tried
    held[0].answer()
    bench.run_for(5.0)
    assert node.hung() is None
    bench.run_for(10.0)
    assert node.hung() == "a has not returned from a read for 15 s"


def test_a_device_s_latency_is_taken_off_its_times() -> None:
    times = []
    for latency_s in (0.0, 0.25):
        bench = Bench(1)
        bench.add_node(config_of(inputs=[{**TONE, "name": "a", "latency_s": latency_s}], clock={"sync": False}))
        bench.run_for(2.0)
        times.append([frame.time_us for frame in frames(bench)])
    assert [after - before for before, after in zip(*times, strict=True)] == [-250_000] * len(times[0])


def test_frames_of_its_own_that_no_hub_would_take_are_counted_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(1)
    node = bench.add_node(config_of())
    bench.run_for(0.1)
    bench.add_node(config_of(node="m", inputs=[{"name": "t", **TONE}]))
    bench.run_for(2.0)
    taken = [decode_frame(entry.payload) for entry in bench.broker.trace if "/m/phase/" in entry.topic]
    wrong = taken[0]._replace(coherence=2.0)
    for _ in range(100):
        node._emit(ChannelId("stride", "tone"), wrong)
    assert node.dropped == {"range": 100}
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
