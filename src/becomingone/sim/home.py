"""A home of thirty nodes for a day and a night: slow sensors at the rates that they have, and what befalls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.plan import FaultPlan
from becomingone.sim.streams import stream

NAME: Final = "home30"
DAY_S: Final = 86_400
ROOMS: Final = ("kitchen", "living", "bath", "bed", "child", "hall", "office", "cellar")
MACHINE: Final = ("laundry-power", "laundry-drum", "laundry-sound", "laundry-water")
"""What the washing machine is heard by: its drum turns to and fro fifteen times a minute, at no quite steady pace."""

CYCLING: Final = ("climate-kitchen", "climate-bath", "climate-office")
"""Rooms whose heating goes on and off about once a minute, each for itself."""

_BANDS: Final = {
    "stride": {"frequency_hz": 0.78, "tau_s": 1.0},
    "breath": {"frequency_hz": 0.25, "tau_s": 4.0},
    "minute": {"frequency_hz": 1 / 60, "tau_s": 60.0},
    "hour": {"frequency_hz": 1 / 3600, "tau_s": 1200.0, "coherence_tau_s": 9600.0},
}


@dataclass(frozen=True, slots=True)
class Day:
    """When things happen, s after the start of the run; the default is a whole day from a quarter past ten at night.

    Parameters
    ----------
    start_us : int
        Calendar time of the start, µs since the Unix epoch; only what hour of the day it is matters.
    washing : (float, float)
        From when until when the washing machine runs; a coupled group then, and never else.
    in_bed : (float, float)
        Two people who breathe, each at a pace of their own.
    walks : sequence of (float, float)
        When the two wearables are worn.
    asleep : (float, float)
        The weather station saves its battery.
    lost : (float, float)
        A node's machine is dead.
    hub_down, broker_down : (float, float)
        The hub is killed and comes back; so is the broker, with nothing that it retained.
    """

    start_us: int = 1_700_000_000_000_000  # 22:13:20 UTC
    washing: tuple[float, float] = (35_200, 38_800)  # 08:00 to 09:00
    in_bed: tuple[float, float] = (1_000, 29_800)
    walks: Sequence[tuple[float, float]] = ((31_600, 32_200), (71_200, 71_680))  # 07:00 and 18:00
    asleep: tuple[float, float] = (2_800, 24_400)  # 23:00 to 05:00
    lost: tuple[float, float] = (42_400, 44_200)  # 10:00 to 10:30
    hub_down: tuple[float, float] = (49_600, 49_620)  # noon
    broker_down: tuple[float, float] = (56_800, 56_815)  # 14:00


TEN_MINUTES: Final = Day(
    washing=(100, 480),
    in_bed=(0, 60),
    walks=((30, 60),),
    asleep=(20, 120),
    lost=(150, 210),
    hub_down=(520, 525),
    broker_down=(550, 555),
)
"""The same in ten minutes, for a test."""


@dataclass(slots=True)
class _Making:
    """Draws what makes each node another."""

    seed: int
    day: Day
    nodes: list[NodeConfig] = field(default_factory=list[NodeConfig])

    def of_day(self, span: tuple[float, float]) -> dict[str, float]:
        """Give times of the run as times of the day."""
        return {
            name: round((self.day.start_us / 1e6 + at_s) % DAY_S, 6)
            for name, at_s in zip(("from_s", "until_s"), span, strict=True)
        }

    def rhythm(self, name: str, frequency_hz: float, amplitude: float, drift: float, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        rng = stream(self.seed, "home", "rhythm", name)
        phase_rad = round(6.0 * rng.random() - 3.0, 6)
        own = {"phase_rad": phase_rad, "seed": rng.getrandbits(32)}
        return {"frequency_hz": frequency_hz, "amplitude": amplitude, "drift": drift, **own, **fields}

    def add(self, node: str, hardware: str, *sensors: Mapping[str, Any], **fields: Any) -> None:  # noqa: ANN401
        inputs: list[dict[str, Any]] = []
        for sensor in sensors:
            quantity = sensor["quantity"]
            options = {"seed": stream(self.seed, "home", node, quantity).getrandbits(32), **sensor}
            section: dict[str, Any] = {name: options.pop(name) for name in ("bands", "keep") if name in options}
            inputs.append({"name": quantity, "kind": "daily", "options": options, **section})
        body = {"node": node, "hardware": hardware, "bands": _BANDS, "inputs": inputs, "emissary": _SELDOM, **fields}
        self.nodes.append(NodeConfig.model_validate(body))


def home(seed: int, day: Day = Day()) -> tuple[HubConfig, list[NodeConfig], FaultPlan]:
    """Make the hub's and the nodes' configurations, and what goes wrong.

    Parameters
    ----------
    seed : int
        Draws noise, phases and how each rhythm wanders.
    day : Day
        When things happen.
    """
    make = _Making(seed, day)
    for room in ROOMS:
        node = f"climate-{room}"
        cycle = [make.rhythm(node, 1 / 60, 0.3, 2e-4)] if node in CYCLING else []
        make.add(
            node,
            "pi_2",
            _sensor("temperature", "°C", 0.2, floor=0.05, noise=0.02, mean=20.0, swing=1.5, rhythms=cycle),
            _sensor("humidity", "%", 1 / 60, floor=0.5, noise=0.3, mean=45.0, swing=5.0),
            frames_per_s=0.1,
        )
    for room in ROOMS[:6]:
        make.add(
            f"light-{room}", "pi_4", _sensor("light", "lx", 0.2, mean=150.0, swing=140.0, **_GLIMMER), frames_per_s=0.1
        )
    for room in ROOMS[:5]:
        make.add(
            f"motion-{room}",
            "pi_4",
            _sensor("motion", "", 0.2, floor=0.5, noise=0.2, mean=1.0, bands=["minute"]),
            frames_per_s=0.1,
        )
    washing = make.rhythm("laundry", 0.25, 1.0, 0.001, **make.of_day(day.washing))
    for number, node in enumerate(MACHINE):
        rhythm = {**washing, "phase_rad": 0.7 * number}
        kept = {"keep": True} if node == "laundry-water" else {}
        make.add(
            node,
            "pi_4",
            _sensor(node.partition("-")[2], "", 1.0, floor=0.2, noise=0.1, rhythms=[rhythm], bands=["breath"], **kept),
            frames_per_s=0.5,
        )
    for side in ("left", "right"):
        breath = make.rhythm(side, 0.25, 1.0, 0.001, **make.of_day(day.in_bed))
        make.add(
            f"sleeper-{side}",
            "pi_4",
            _sensor("chest", "", 1.0, floor=0.2, noise=0.1, rhythms=[breath], bands=["breath"]),
            frames_per_s=0.5,
        )
    worn = [tuple(make.of_day(span).values()) for span in day.walks]
    for who in ("anna", "ben"):
        steps = make.rhythm(who, 0.78, 1.0, 0.02)
        make.add(
            f"band-{who}", "pi_zero", _sensor("steps", "g", 20.0, floor=0.1, noise=0.1, rhythms=[steps], there=worn)
        )
    make.add(
        "weather",
        "pi_2",
        _sensor("temperature", "°C", 1 / 10, floor=0.1, noise=0.05, mean=8.0, swing=4.0),
        _sensor("pressure", "hPa", 1 / 60, floor=0.1, noise=0.05, mean=1013.0, swing=1.0, keep=True),
    )
    for place in ("lamp", "board"):
        make.add(place, "pi_4", _sensor("light", "lx", 0.2, mean=80.0, **_GLIMMER), **_SLOW_LIGHT)
    hub = HubConfig.model_validate(
        {
            "bands": _BANDS,
            "tick_hz": 4,
            "mesh": {"per_period": 8},
            "snapshot_s": 10,
            "dispatch": {
                "rate_hz": 1,
                "frames_hz": 0,
                "expiry_s": 25,
                "keep_alive_s": 10,
                "dead_band": 0.02,
                "rules": [
                    {"name": "washing", "outputs": "lamp/glow", "band": "breath", "when": "emerged", "set": _LIT}
                ],
            },
            "we": {"pairs": {"beds": {"a": ["sleeper-left"], "b": ["sleeper-right"], "bands": ["breath"]}}},
        }
    )
    return hub, make.nodes, _faults(day)


_LIT: Final = {"hue": "hue(phase)", "brightness": "coherence"}
_SELDOM: Final = {"frames_per_s": 0.05}
_GLIMMER: Final = {"floor": 10.0, "noise": 2.0, "bands": ["minute"]}
_SLOW_LIGHT: Final = {
    "outputs": [{"name": "glow", "kind": "terminal", "stale_s": 30}],
    "emissary": {"rate_hz": 1, "frames_per_s": 0.05},
    "frames_per_s": 0.1,
}


def _sensor(quantity: str, unit: str, rate_hz: float, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"quantity": quantity, "unit": unit, "rate_hz": rate_hz, **fields}


def _faults(day: Day) -> FaultPlan:
    def span(kind: str, times: tuple[float, float], **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        return {"kind": kind, "at_s": times[0], "lasts_s": times[1] - times[0], **fields}

    return FaultPlan.model_validate(
        {
            "title": "a node sleeps, a node is lost for a while, hub and broker restart",
            "faults": [
                span("sleep", day.asleep, clients=["weather"]),
                span("kill", day.lost, clients=["climate-cellar"], silent=1.0),
                span("kill", day.hub_down, clients=["hub"]),
                span("broker_crash", day.broker_down),
            ],
            "clocks": [{"clients": ["*"], "drift_ppm": {"kind": "normal", "mean": 0, "sigma": 20, "least": -60}}],
        }
    )
