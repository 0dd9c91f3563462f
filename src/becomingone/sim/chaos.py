"""Carries a fault plan out: arranges what has its time, draws the rest, mends what lasts."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from becomingone.scheduling import NANOSECONDS, Scheduler
from becomingone.sim.plan import (
    BrokerCrash,
    ClockStep,
    Cut,
    Fault,
    FaultPlan,
    HalfOpen,
    Kill,
    Network,
    Partition,
    PathRules,
    Sleep,
    Way,
    named,
)
from becomingone.sim.streams import stream
from becomingone.sim.world import World

Mend = Callable[[], None]


class Chaos:
    """A plan at work.

    Parameters
    ----------
    plan : FaultPlan
        What is to go wrong.
    seed : int
        Of the run.
    scheduler : Scheduler
        True time; the plan's zero is now.
    world : World
        Where it goes wrong.
    """

    def __init__(self, plan: FaultPlan, seed: int, *, scheduler: Scheduler, world: World) -> None:
        self._plan = plan
        self._seed = seed
        self._scheduler = scheduler
        self._world = world
        self._began_ns = scheduler.monotonic_ns()
        self._clients: list[str] = []
        self._lasting: dict[int, Mend] = {}
        self._lastings = 0
        self._over = False
        for number, fault in enumerate(plan.faults):
            if fault.at_s is not None:
                self._at(fault.at_s, lambda n=number, f=fault: self._strike(n, f, self._rng(n)))  # type: ignore[misc]
            elif isinstance(fault, Partition | BrokerCrash):  # one process for all
                self._again(number, fault, self._rng(number), None)
        if plan.until_s is not None:
            self._at(plan.until_s, self._end)

    def adopt(self, client_id: str) -> None:
        """Take a client in; what happens to it at random is drawn from streams of its own."""
        if client_id in self._clients:
            return
        self._clients.append(client_id)
        for number, fault in enumerate(self._plan.faults):
            of_its_own = fault.every_s is not None and not isinstance(fault, Partition | BrokerCrash)
            if of_its_own and self._meant(fault, client_id):
                self._again(number, fault, self._rng(number, client_id), client_id)

    # -- when ------------------------------------------------------------------------------------------------------

    def _at(self, seconds: float, callback: Callable[[], None]) -> None:
        self._scheduler.call_at(self._began_ns + round(seconds * NANOSECONDS), callback)

    def _again(self, number: int, fault: Fault, rng: random.Random, client_id: str | None) -> None:
        """Arrange the next of a fault's strikes: the time between them is exponential."""
        wait_s = -(fault.every_s or 0.0) * math.log(1.0 - rng.random())

        def strike() -> None:
            if not self._over:
                self._strike(number, fault, rng, client_id)
                self._again(number, fault, rng, client_id)

        self._scheduler.call_at(self._scheduler.monotonic_ns() + round(wait_s * NANOSECONDS), strike)

    def _end(self) -> None:
        """Stop, and mend what lasts; packets are from now on only delayed."""
        self._over = True
        lasting, self._lasting = self._lasting, {}
        for mend in lasting.values():
            mend()
        self._world.rule(harmless(self._plan.network))

    def _last(self, seconds: float, mend: Mend) -> None:
        """Mend it after so long, or at the end of the plan."""
        number = self._lastings = self._lastings + 1
        self._lasting[number] = mend

        def over() -> None:
            if self._lasting.pop(number, None) is not None:
                mend()

        self._scheduler.call_at(self._scheduler.monotonic_ns() + round(max(0.0, seconds) * NANOSECONDS), over)

    # -- what ------------------------------------------------------------------------------------------------------

    def _rng(self, number: int, *names: str) -> random.Random:
        return stream(self._seed, "fault", str(number), *names)

    @staticmethod
    def _meant(fault: Fault, client_id: str) -> bool:
        return not isinstance(fault, BrokerCrash) and named(fault.clients, client_id)

    def _strike(self, number: int, fault: Fault, rng: random.Random, client_id: str | None = None) -> None:
        if isinstance(fault, BrokerCrash):
            self._crash(fault, rng)
        elif isinstance(fault, Partition):
            self._part(number, fault, rng)
        elif client_id is not None:
            self._hit(fault, client_id, rng)
        else:
            for one in self._clients:
                if self._meant(fault, one):
                    self._hit(fault, one, self._rng(number, one))

    def _crash(self, fault: BrokerCrash, rng: random.Random) -> None:
        persistent, silent = rng.random() < fault.persistent, rng.random() < fault.silent
        lasts_s = fault.lasts_s.sample(rng)
        if self._world.crash(persistent=persistent, silent=silent):
            self._last(lasts_s, self._world.restart)

    def _part(self, number: int, fault: Partition, rng: random.Random) -> None:
        lasts_s = fault.lasts_s.sample(rng)
        which = str(rng.getrandbits(64))  # each client draws for itself whether it is in this one
        for client_id in self._clients:
            if self._meant(fault, client_id) and self._rng(number, which, client_id).random() < fault.share:
                self._world.part(client_id)
                self._last(lasts_s, lambda c=client_id: self._world.join(c))  # type: ignore[misc]

    def _hit(self, fault: Cut | HalfOpen | Kill | ClockStep | Sleep, client_id: str, rng: random.Random) -> None:
        match fault:
            case Cut():
                self._world.cut(client_id)
            case HalfOpen():
                self._world.lose(client_id)
            case ClockStep():
                self._world.step_clock(client_id, fault.by_s.sample(rng))
            case Sleep():
                if self._world.sleep(client_id):
                    self._last(fault.lasts_s.sample(rng), lambda: self._world.revive(client_id))
            case Kill():
                silent, lasts_s = rng.random() < fault.silent, fault.lasts_s.sample(rng)
                if self._world.kill(client_id, silent=silent):
                    self._last(lasts_s, lambda: self._world.revive(client_id))


def harmless(network: Network) -> Network:
    """Give the same network with its delays alone."""

    def way(rules: Way) -> Way:
        return Way(delay_ms=rules.delay_ms)

    return Network(
        paths=tuple(PathRules(clients=p.clients, up=way(p.up), down=way(p.down)) for p in network.paths),
        stall_s=network.stall_s,
    )
