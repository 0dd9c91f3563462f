"""What a node stands on: its process, its clocks, its hardware, its way to the broker, its disk."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from becomingone.broker.kept_store import KeptStore
from becomingone.broker.link import LinkFactory
from becomingone.devices.contract import Ports
from becomingone.node.board_led import BoardLed
from becomingone.node.process import Host
from becomingone.runner import Runner
from becomingone.scheduling import MeshClock, Scheduler
from becomingone.wire.signature import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything that differs between a real node and a simulated one.

    Parameters
    ----------
    boot : int
        The boot id.
    pid : int
        The process, for ``about``; 0 where it has none of its own.
    links : callable
        Makes the link to the broker.
    ports : Ports
        The hardware.
    clock : MeshClock
        The node's clocks.
    scheduler : Scheduler
        Gives the turns.
    make_runner : callable
        Makes, for a device's name, where its blocking calls run.
    rng : random.Random
        Spreads retries and probes.
    host : Host
        What starts and restarts the node, and keeps its log.
    store : KeptStore
        Where kept frames wait.
    verifier : Verifier or None
        Checks what the hub signs for all; None where it signs nothing.
    host_name : str
        The machine's name, for ``about``.
    led : BoardLed or None
        The board's own light, to be recognised by.
    """

    boot: int
    pid: int
    links: LinkFactory
    ports: Ports
    clock: MeshClock
    scheduler: Scheduler
    make_runner: Callable[[str], Runner]
    rng: random.Random
    host: Host
    store: KeptStore
    verifier: Verifier | None = None
    host_name: str = ""
    led: BoardLed | None = None
