"""Evidence and control in a whole cell: the hub, two walkers, a light and a motor that write down what they do."""

from __future__ import annotations

import cmath
import json
import math
from bisect import bisect
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from becomingone.hub.config import HubConfig
from becomingone.node.agent import NodeAgent
from becomingone.node.config import NodeConfig
from becomingone.node.fade import FADE_S
from becomingone.sim.bench import Bench
from becomingone.sim.plan import FaultPlan
from becomingone.wire.frame import decode_frame
from becomingone.wire.oscillator import decode_oscillator
from becomingone.wire.sync import decode_sync
from becomingone.wire.topics import Topics

TOPICS = Topics("becomingone", "home")
ALONE_S: Final = 30.0

OUTPUT = '''"""Writes down what it does and when."""

import json

from pydantic import BaseModel


class Options(BaseModel, frozen=True, extra="forbid"):
    """None."""


class Device:
    """An output."""

    role = "{role}"

    def __init__(self, options, ports):
        self._ports = ports

    def apply(self, values):
        self._write(dict(values))

    def rest(self):
        self._write(None)

    def _write(self, values):
        line = {{"role": self.role, "s": self._ports.clock.monotonic_ns() / 1e9, "values": values}}
        self._ports.terminal.write(json.dumps(line) + "\\n")
'''


def leg(frequency_hz: float, phase: float, seed: int) -> dict[str, Any]:
    options = {
        "frequency_hz": frequency_hz,
        "phase_rad": phase,
        "noise": 0.1,
        "rate_hz": 50,
        "seed": seed,
        "floor": 0.05,
    }
    return {"name": "leg", "kind": "synthetic", "bands": ["stride"], "options": options}


class Cell:
    """A hub and two walkers; the first has a light and a motor."""

    def __init__(self, folder: Path, *, seed: int = 5, hub: dict[str, Any] | None = None, **node: Any) -> None:
        for role in ("display", "motor"):
            (folder / f"noted_{role}.py").write_text(OUTPUT.format(role=role))
        path = {"up": {"delay_ms": 5.0}, "down": {"delay_ms": 5.0}}
        self.bench = Bench(seed, faults=FaultPlan.model_validate({"network": {"paths": [path]}}))
        self.hub_config = HubConfig.model_validate(hub or {})
        self.bench.add_hub(self.hub_config)
        outputs = [
            {"name": "light", "kind": "noted_display", "alone_s": ALONE_S, "stale_s": 2.0},
            {"name": "wheels", "kind": "noted_motor", "alone_s": ALONE_S, "stale_s": 2.0},
        ]
        for number, name in enumerate(("thigh", "shank")):
            given = {
                "node": name,
                "drop_in": folder,
                "inputs": [leg(0.784, 0.75 * number, number)],
                "outputs": outputs if not number else [],
                **node,
            }
            self.bench.add_node(NodeConfig.model_validate(given))

    @property
    def node(self) -> NodeAgent:
        return self.bench.nodes["thigh"]

    @property
    def now_s(self) -> float:
        return self.bench.scheduler.monotonic_ns() / 1e9

    def run(self, seconds: float) -> None:
        self.bench.run_for(seconds)

    def settle(self) -> None:
        """Until the motor moves, which takes a significant rhythm."""
        while self.state("wheels")["doing"] != "command":
            assert self.now_s < 60.0
            self.run(1.0)

    def done(self, role: str, since_s: float = 0.0) -> list[tuple[float, dict[str, float] | None]]:
        lines = map(json.loads, self.bench.ports["thigh"].screen.getvalue().splitlines())
        return [(line["s"], line["values"]) for line in lines if line["role"] == role and line["s"] >= since_s]

    def state(self, output: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(
            self.bench.broker.retained.get(TOPICS.output_state("thigh", output), b"{}")
        )
        return {"doing": "", **content}

    def payloads(self, part: str) -> list[tuple[str, bytes]]:
        return [(entry.topic, entry.payload) for entry in self.bench.broker.trace if f"/{part}/" in entry.topic]


# -- evidence and control ----------------------------------------------------------------------------------------------


def test_the_control_loop_leaves_no_trace_in_the_evidence(tmp_path: Path) -> None:
    runs: list[list[tuple[str, bytes]]] = []
    entrained: list[bool] = []
    for hub, coupling in (({}, 1.0), ({"sync": {"enabled": False}}, 0.0)):
        cell = Cell(tmp_path, hub=hub, emissary={"coupling": coupling})
        cell.run(25.0)
        runs.append(cell.payloads("phase"))
        entrained.append(any(decode_oscillator(payload).entrained for _, payload in cell.payloads("oscillator")))
        assert bool(cell.payloads("sync")) is (coupling > 0.0)
    assert entrained == [True, False]
    assert len(runs[0]) > 400
    assert runs[0] == runs[1]


def test_every_control_phase_locks_to_the_hubs_field(tmp_path: Path) -> None:
    """The thigh and the shank are 0.75 rad apart, and stay so as evidence; as control they are one."""
    cell = Cell(tmp_path, emissary={"frames_per_s": 10.0, "coupling": 0.3})
    cell.run(60.0)
    from_us = round((cell.now_s - 20.0 + 1.7e9) * 1e6)
    syncs = [decode_sync(payload) for _, payload in cell.payloads("sync")]
    times = [given.time_us for given in syncs]
    off: dict[str, list[float]] = {"thigh": [], "shank": []}
    for topic, payload in cell.payloads("oscillator"):
        given = decode_oscillator(payload)
        if given.time_us >= from_us and topic.endswith("/stride"):
            last = syncs[bisect(times, given.time_us) - 1]
            psi = cmath.phase(last.field) + last.omega * (given.time_us - last.time_us) * 1e-6
            off[topic.split("/")[-3]].append(abs(math.remainder(given.phase - psi, math.tau)))
    evidence = {topic.split("/")[-4]: decode_frame(payload) for topic, payload in cell.payloads("phase")}
    one, other = evidence["thigh"], evidence["shank"]
    turned = other.last_phasor * cmath.exp(1j * other.omega * (one.last_time_us - other.last_time_us) * 1e-6)
    apart = abs(cmath.phase(turned / one.last_phasor))
    most = max(map(max, off.values()))
    print(f"evidence {apart:.2f} rad apart, control at most {most:.3f} rad off the hub's noisy field")
    assert apart == pytest.approx(0.75, abs=0.2)
    assert len(off["thigh"]) > 190
    assert most < 0.25


# -- the hub goes and comes --------------------------------------------------------------------------------------------


def test_without_the_hub_the_light_goes_on_alone_and_the_motor_rests_at_once(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    cell.settle()
    assert cell.state("light")["doing"] == cell.state("wheels")["doing"] == "command"
    cell.bench.kill("hub", silent=True)  # nobody is told
    died_s = cell.now_s
    cell.run(2.0 + 1.0)
    (rested_s,) = [at_s for at_s, values in cell.done("motor", died_s) if values is None]
    print(f"the motor rests {rested_s - died_s:.3f} s after the hub died")
    assert rested_s - died_s <= 0.2
    assert cell.done("motor", rested_s)[1:] == []
    assert cell.state("wheels")["doing"] == "rest"
    assert cell.state("light")["doing"] == "alone"
    shown = cell.done("display", died_s + 2.1 + FADE_S)
    cell.run(10.0)
    shown = [values for _, values in cell.done("display", died_s + 4.0) if values]
    assert len(shown) > 150
    assert max(values["hue"] for values in shown) > 270.0
    assert min(values["hue"] for values in shown) < 90.0
    last_command_s = max(at_s for at_s, _ in cell.done("motor") if at_s < rested_s)
    cell.run(ALONE_S)
    rests = [at_s for at_s, values in cell.done("display", died_s) if values is None]
    assert rests == [pytest.approx(last_command_s + 2.0 + ALONE_S, abs=0.06)]
    assert cell.state("light")["why"] == "alone for 30 s: no fresh command"
    cell.run(60.0)
    assert len(cell.done("display", rests[0])) == 1


def test_when_the_hub_says_that_it_goes_nobody_waits(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    cell.settle()
    cell.bench.kill("hub")  # the broker publishes its will
    died_s = cell.now_s
    cell.run(0.05)
    assert cell.done("motor", died_s)[-1][1] is None
    cell.run(0.5)
    assert cell.state("light") == {**cell.state("light"), "doing": "alone", "why": "the hub is lost"}


def test_when_the_link_is_cut_nobody_waits(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    cell.settle()
    cell.bench.broker.crash()
    died_s = cell.now_s
    cell.run(0.05)
    assert cell.done("motor", died_s)[-1][1] is None
    assert cell.node.outputs["light"].state.doing == "alone"
    cell.run(ALONE_S + 0.1)
    assert cell.node.outputs["light"].state.doing == "rest"


def test_the_hub_comes_back_and_the_light_follows_without_a_jump(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    cell.settle()
    cell.bench.kill("hub")
    cell.run(12.0)
    assert cell.state("light")["doing"] == "alone"
    cell.bench.add_hub(cell.hub_config)
    back_s = cell.now_s
    cell.run(5.0)
    assert cell.state("light")["doing"] == "command"
    hues = [(at_s, values["hue"]) for at_s, values in cell.done("display", back_s - 5.0) if values]
    leaps = [abs(b - a) / max(0.05, t - s) * 0.05 for (s, a), (t, b) in pairwise(hues)]
    own = 180.0 * 2 * math.pi * 0.784 * 0.05
    print(f"the greatest step is {max(leaps):.0f} degrees in 50 ms; a light that follows goes up to {own:.0f}")
    assert max(leaps) <= own + 360.0 * 0.05 / FADE_S


# -- commands from the hub ---------------------------------------------------------------------------------------------


def test_a_motor_moves_only_once_the_rhythm_is_significant(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    moved_s: float | None = None
    while moved_s is None:
        assert cell.now_s < 60.0
        cell.run(0.5)
        moved_s = next((at_s for at_s, values in cell.done("motor") if values), None)
    (collapse,) = [entry for entry in cell.bench.broker.trace if entry.topic == TOPICS.event("collapse")]
    assert moved_s >= json.loads(collapse.payload)["time_us"] * 1e-6 - 1.7e9
    assert next(at_s for at_s, values in cell.done("display") if values) < moved_s
