"""A fault plan: what the network, the broker, the nodes and their clocks do wrong, and when.

A plan is a frozen value that can be written in YAML. What it leaves to chance is drawn from the run's seed, in a stream
for each client and fault, so the same plan and seed do the same again.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from becomingone.config.loader import load
from becomingone.config.sections import Section
from becomingone.errors import ConfigError
from becomingone.sim.spread import Constant, Spread, Uniform

Chance = Annotated[float, Field(ge=0, le=1, description="probability of each packet, message or client, 0..1")]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Clients = Annotated[
    tuple[str, ...],
    Field(min_length=1, max_length=4096, description="node ids, hub, or whole client ids; * and ? stand for others"),
]

_WIRED = Uniform(kind="uniform", low=0.1, high=0.3)
_NONE = Constant(value=0.0)


def named(patterns: tuple[str, ...], client_id: str) -> bool:
    """Tell whether a client is meant: by its id, or by what comes after its last dot."""
    short = client_id.rpartition(".")[2]
    return any(fnmatchcase(short, pattern) or fnmatchcase(client_id, pattern) for pattern in patterns)


class Way(Section):
    """One direction between a client and the broker.

    TCP loses no bytes: a lost packet is sent again after 0.2 s, 0.4 s, 0.8 s and so on, everything behind it waits, and
    a connection that stands still for `Network.stall_s` breaks. `duplicate`, `reorder`, `corrupt` and `drop` are what
    brokers and bridges do to messages.
    """

    delay_ms: Annotated[
        Spread, Field(description="one-way delay of a packet, ms; packets never overtake each other")
    ] = _WIRED
    loss: Annotated[float, Field(ge=0, le=0.9, description="probability that a TCP segment is lost, 0..0.9")] = 0.0
    duplicate: Annotated[Chance, Field(description="a message of QoS 1 is sent twice (MQTT 3.1.1, 4.3.2)")] = 0.0
    drop: Annotated[Chance, Field(description="a message of QoS 0 is dropped, as at a full queue")] = 0.0
    reorder: Annotated[
        Chance, Field(description="down only: a message is held back; others of its topic wait behind it (4.6)")
    ] = 0.0
    reorder_ms: Annotated[Spread, Field(description="for how long it is held back, ms")] = Uniform(
        kind="uniform", low=1.0, high=100.0
    )
    corrupt: Annotated[Chance, Field(description="one to eight bits of a message's payload are flipped")] = 0.0


class PathRules(Section):
    """What lies between some clients and the broker."""

    clients: Clients = ("*",)
    up: Annotated[Way, Field(description="from the client to the broker")] = Way()
    down: Annotated[Way, Field(description="from the broker to the client")] = Way()


class Network(Section):
    """Everything between the clients and the broker."""

    paths: Annotated[
        tuple[PathRules, ...], Field(max_length=4096, description="the first entry that names a client counts")
    ] = ()
    stall_s: Annotated[
        float, Field(gt=0, le=3600, description="a connection on which nothing gets through for so long breaks, s")
    ] = 30.0

    def path(self, client_id: str) -> PathRules:
        """Find what lies between a client and the broker."""
        return next((rules for rules in self.paths if named(rules.clients, client_id)), PathRules())


class _Fault(Section):
    """Something that goes wrong: at a given time, or again and again at random."""

    at_s: Annotated[Seconds | None, Field(description="when, s from the start of the run")] = None
    every_s: Annotated[
        Annotated[float, Field(ge=1e-3, le=1e9)] | None,
        Field(description="at random, as a Poisson process with this mean time between, s; for each client of its own"),
    ] = None

    @model_validator(mode="after")
    def _once_or_often(self) -> _Fault:
        if (self.at_s is None) == (self.every_s is None):
            msg = "give either at_s (once) or every_s (again and again, at random)"
            raise ValueError(msg)
        return self


class Cut(_Fault):
    """A connection breaks, and both ends notice: a cable is pulled, a router restarts."""

    kind: Literal["cut"]
    clients: Clients = ("*",)


class HalfOpen(_Fault):
    """A connection is gone and neither end is told: each finds out by its keepalive."""

    kind: Literal["half_open"]
    clients: Clients = ("*",)


class Partition(_Fault):
    """Some clients cannot reach the broker for a while; what they and it send waits, and then comes late."""

    kind: Literal["partition"]
    clients: Clients = ("*",)
    share: Annotated[Chance, Field(description="each of the clients is in it with this probability")] = 1.0
    lasts_s: Annotated[Spread, Field(description="for how long, s")]


class BrokerCrash(_Fault):
    """The broker is killed and comes back."""

    kind: Literal["broker_crash"]
    lasts_s: Annotated[Spread, Field(description="until it is back, s")]
    persistent: Annotated[Chance, Field(description="that it comes back with retained messages and sessions")] = 0.0
    silent: Annotated[Chance, Field(description="that its machine goes with it, so that no client is told")] = 0.0


class Kill(_Fault):
    """A node, or the hub, is killed and comes back with a new boot id."""

    kind: Literal["kill"]
    clients: Clients = ("*",)
    lasts_s: Annotated[Spread, Field(description="until it is back, s")]
    silent: Annotated[Chance, Field(description="that its machine goes with it, so that the broker is not told")] = 0.0


class ClockStep(_Fault):
    """A system clock is set."""

    kind: Literal["clock_step"]
    clients: Clients
    by_s: Annotated[Spread, Field(description="forwards, s; negative: back")]


class Sleep(_Fault):
    """A node says that it sleeps, takes leave, and wakes with a new boot id: one that saves its battery at night."""

    kind: Literal["sleep"]
    clients: Clients
    lasts_s: Annotated[Spread, Field(description="until it wakes, s")]


Fault = Annotated[Cut | HalfOpen | Partition | BrokerCrash | Kill | ClockStep | Sleep, Field(discriminator="kind")]


class ClockRules(Section):
    """How some machines' clocks are off from the start."""

    clients: Clients = ("*",)
    offset_s: Annotated[Spread, Field(description="the system clock is ahead by this, s")] = _NONE
    drift_ppm: Annotated[Spread, Field(description="its oscillator is fast by this, parts per million")] = _NONE


class FaultPlan(Section):
    """What goes wrong in a run."""

    title: Annotated[str, Field(max_length=200, description="one line that says what happens")] = "nothing goes wrong"
    until_s: Annotated[
        Annotated[float, Field(gt=0, le=1e9)] | None,
        Field(description="then all faults end and what lasts is mended, s from the start; default: never"),
    ] = None
    network: Network = Network()
    faults: Annotated[tuple[Fault, ...], Field(max_length=4096)] = ()
    clocks: Annotated[
        tuple[ClockRules, ...], Field(max_length=4096, description="the first entry that names a client counts")
    ] = ()

    @model_validator(mode="after")
    def _in_time(self) -> FaultPlan:
        for number, fault in enumerate(self.faults):
            if self.until_s is not None and fault.at_s is not None and fault.at_s >= self.until_s:
                msg = f"faults[{number}].at_s ({fault.at_s:g}) must be before until_s ({self.until_s:g})"
                raise ValueError(msg)
        return self

    def clock(self, client_id: str) -> ClockRules:
        """Find how a machine's clock is off."""
        return next((rules for rules in self.clocks if named(rules.clients, client_id)), ClockRules())


def names() -> list[str]:
    """Give the plans that come with the project."""
    folder = files("becomingone.sim").joinpath("plans")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def plan_file(name: str) -> Path:
    """Find a plan by name, or by its file.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    if name not in names():
        msg = f"there is no fault plan {name!r}; there are {', '.join(names())}, or give a .yaml file"
        raise ConfigError(msg)
    return Path(str(files("becomingone.sim").joinpath("plans", f"{name}.yaml")))


def load_plan(name: str, *, environ: Mapping[str, str]) -> FaultPlan:
    """Load a plan by name, or from a file.

    Raises
    ------
    ConfigError
        What is wrong, with file, line and field.
    """
    return load(FaultPlan, plan_file(name), environ=environ)
