"""What a hub stands on: its process, its clock, its way to the broker, its memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from becomingone.broker.link import LinkFactory
from becomingone.hub.claim import HubAbout
from becomingone.hub.intake.epochs import EpochStore
from becomingone.hub.memory.protocol import Memory
from becomingone.runner import Runner
from becomingone.scheduling import MeshClock, Scheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class HubMachine:
    """Everything that differs between a real hub and a simulated one.

    Parameters
    ----------
    boot : int
        The boot id.
    links : callable
        Makes links to the broker.
    clock : MeshClock
        The hub's clock, which is the mesh's.
    scheduler : Scheduler
        Gives the turns.
    parent_links : callable, optional
        Makes links to the parent's broker, where the relay has one of its own.
    make_runner : callable, optional
        Makes, for a part's name, where its long work runs; without it, at once.
    epochs : EpochStore or None
        Keeps the nodes' newest lives over the hub's restarts, in an authenticated cell.
    memory : Memory or None
        What is remembered; without it nothing is, no kept frame is acknowledged, and the nodes keep them.
    about : HubAbout or None
        Which hub it is, and where; without it, it does not say.
    give_way : callable
        Ends the hub, with a line for a person, where the cell has an older one.
    """

    boot: int
    links: LinkFactory
    clock: MeshClock
    scheduler: Scheduler
    parent_links: LinkFactory | None = None
    make_runner: Callable[[str], Runner] | None = None
    epochs: EpochStore | None = None
    memory: Memory | None = None
    about: HubAbout | None = None
    give_way: Callable[[str], None] = lambda _why: None
