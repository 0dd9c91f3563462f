"""The benchmarks by name; each module has one function ``run`` that returns a report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from becomingone.errors import ConfigError

if TYPE_CHECKING:
    from becomingone.bench.report import Report

BENCHES: Final = {
    "broker": "the embedded broker against Mosquitto: messages a second, round trips, connecting",
    "clock": "how well nodes know mesh time over simulated networks, against the Lab Streaming Layer's way",
    "codec": "a phase frame to bytes and back, with all checks, against cbor2 alone",
    "kernel": "one channel against scipy's filter, and phase locking against mne-connectivity (extra: reference)",
    "node": "a node with three channels at 100 Hz: memory, time to be ready, processor time",
    "tick": "one tick of a mesh of 30, 1,000 and 100,000 nodes",
    "sync": "how far and how fast a simulated mesh locks, against theory",
}
"""What each measures; the name is the module's."""


def run(name: str) -> Report:
    """Run one of :data:`BENCHES`.

    Raises
    ------
    ConfigError
        When there is none of that name.
    """
    if name not in BENCHES:
        raise ConfigError(f"there is no benchmark {name!r}; there are: {', '.join(sorted(BENCHES))}")
    report: Report = import_module(f"becomingone.bench.{name}").run()
    return report
