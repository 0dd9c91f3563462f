"""The benchmarks by name; each module has one function ``run`` that returns a report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from becomingone.errors import ConfigError

if TYPE_CHECKING:
    from becomingone.bench.report import Report

BENCHES: Final = {
    "block": "samples a second that a hub takes from Mosquitto in frames of 100",
    "broker": "the embedded broker against Mosquitto: messages a second, round trips, connecting",
    "clock": "how well nodes know mesh time over simulated networks, against the Lab Streaming Layer's way",
    "codec": "a phase frame to bytes and back, with all checks, against cbor2 alone",
    "ingest": "frames a second that a hub takes from Mosquitto, against a bare paho-mqtt that throws them away",
    "kernel": "one channel against scipy's filter, and phase locking against mne-connectivity (extra: reference)",
    "latency": "from a frame's last sample to an output's device call, against a bare paho-mqtt ping-pong",
    "node": "a node with three channels at 100 Hz: memory, time to be ready, processor time",
    "scale": "nodes that a hub carries through relays of 100 nodes each, and whether merged sums equal flat ones",
    "tick": "one tick of a mesh of 30, 1,000 and 100,000 nodes",
    "sync": "how far and how fast a simulated mesh locks, against theory",
}
"""What each measures; the name is the module's."""


def run(name: str, *, quick: bool = False) -> Report:
    """Run one of :data:`BENCHES`.

    Parameters
    ----------
    name : str
        Which.
    quick : bool
        As little of it as shows that it runs: the module's ``QUICK``.

    Raises
    ------
    ConfigError
        When there is none of that name, or none that is quick.
    """
    if name not in BENCHES:
        raise ConfigError(f"there is no benchmark {name!r}; there are: {', '.join(sorted(BENCHES))}")
    module = import_module(f"becomingone.bench.{name}")
    if quick and not hasattr(module, "QUICK"):
        raise ConfigError(f"the benchmark {name} is run as a whole or not at all")
    report: Report = module.run(module.QUICK) if quick else module.run()
    return report
