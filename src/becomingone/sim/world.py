"""What faults do their work on: machines with their clocks, the processes on them, the broker and the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from becomingone.scheduling import Scheduler
from becomingone.sim.broker import SimBroker
from becomingone.sim.events import Note
from becomingone.sim.host import HostClock, Process
from becomingone.sim.plan import FaultPlan, Network
from becomingone.sim.streams import stream


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A node or the hub: its process, how that ends, and how to start another."""

    name: str
    process: Process
    end: Callable[[], None]
    again: Callable[[], object]
    sleep: Callable[[Callable[[], None]], None] | None = None


class KeptEpochs:
    """The nodes' newest lives, which the hub's disk keeps when the hub is killed; see `hub.epochs.EpochStore`."""

    def __init__(self) -> None:
        self._kept: dict[str, int] = {}

    def load(self) -> dict[str, int]:
        """Give what was kept."""
        return dict(self._kept)

    def save(self, epochs: Mapping[str, int]) -> None:
        """Keep this instead."""
        self._kept = dict(epochs)


class World:
    """Everything that can break; members and clients are called by their client ids.

    Parameters
    ----------
    broker : SimBroker
        The broker, with the network around it.
    plan : FaultPlan
        How clocks are off from the start.
    seed : int
        Of the run.
    scheduler : Scheduler
        True time.
    note : callable
        Takes note of every fault.
    """

    def __init__(self, broker: SimBroker, plan: FaultPlan, seed: int, *, scheduler: Scheduler, note: Note) -> None:
        self.boots: Counter[str] = Counter()
        self.alive: dict[str, Member] = {}
        self._dead: dict[str, Member] = {}
        self._clocks: dict[str, HostClock] = {}
        self._broker = broker
        self._plan = plan
        self._seed = seed
        self._scheduler = scheduler
        self._note = note

    # -- members ---------------------------------------------------------------------------------------------------

    def start(
        self,
        client_id: str,
        name: str,
        *,
        end: Callable[[], None],
        again: Callable[[], object],
        sleep: Callable[[Callable[[], None]], None] | None = None,
    ) -> Process:
        """Start a process on its machine, whose clocks are where they are; one that was there before is killed.

        Parameters
        ----------
        client_id, name : str
            What the broker and what people call it.
        end : callable
            What there is to do when it is killed.
        again : callable
            Starts another like it.
        sleep : callable, optional
            Lets it say that it sleeps and take leave, and calls back then; it is ended after that.
        """
        self.kill(client_id, silent=False)
        self._dead.pop(client_id, None)
        self.boots[name] += 1
        process = Process(self._scheduler, self._clock(client_id))
        self.alive[client_id] = Member(name, process, end, again, sleep)
        return process

    def kill(self, client_id: str, *, silent: bool) -> bool:
        """Kill a member; False when there is none of that id alive."""
        member = self.alive.pop(client_id, None)
        if member is None:
            return False
        self._dead[client_id] = member
        self._fault("kill", client_id)
        member.end()
        member.process.end()
        self._broker.kill(client_id, silent=silent)
        return True

    def sleep(self, client_id: str) -> bool:
        """Let a member fall asleep; False when there is none of that id alive, or it cannot."""
        member = self.alive.get(client_id)
        if member is None or member.sleep is None:
            return False
        self._fault("sleep", client_id)

        def asleep() -> None:
            if self.alive.get(client_id) is member:  # it has not been killed on the way
                del self.alive[client_id]
                self._dead[client_id] = member
                member.end()
                member.process.end()

        member.sleep(asleep)
        return True

    def revive(self, client_id: str) -> None:
        """Start a member again that was killed."""
        member = self._dead.get(client_id)
        if member is not None:
            member.again()

    def step_clock(self, client_id: str, by_s: float) -> None:
        """Set a machine's system clock."""
        clock = self._clocks.get(client_id)
        if clock is not None:
            self._fault(f"clock step {by_s:+.6f} s", client_id)
            clock.step(by_s)

    def _clock(self, client_id: str) -> HostClock:
        clock = self._clocks.get(client_id)
        if clock is None:
            rules, rng = self._plan.clock(client_id), stream(self._seed, "clock", client_id)
            offset_s, drift_ppm = rules.offset_s.sample(rng), rules.drift_ppm.sample(rng)
            clock = self._clocks[client_id] = HostClock(self._scheduler, offset_s=offset_s, drift_ppm=drift_ppm)
        return clock

    # -- the network and the broker --------------------------------------------------------------------------------

    def cut(self, client_id: str) -> None:
        """Break a connection, as a cable that is pulled."""
        self._fault("cut", client_id)
        self._broker.cut(client_id)

    def lose(self, client_id: str) -> None:
        """Make a connection half open."""
        self._fault("half open", client_id)
        self._broker.lose(client_id)

    def part(self, client_id: str) -> None:
        """Let nothing through between a client and the broker; orders add up."""
        self._fault("partition", client_id)
        self._broker.network.path(client_id).blocks += 1

    def join(self, client_id: str) -> None:
        """End one such order."""
        self._fault("partition ends", client_id)
        self._broker.network.path(client_id).blocks -= 1

    def crash(self, *, persistent: bool, silent: bool) -> bool:
        """Kill the broker; False when it is dead already."""
        if not self._broker.up:
            return False
        self._fault("broker crash", "")
        self._broker.crash(persistent=persistent, silent=silent)
        return True

    def restart(self) -> None:
        """Start the broker."""
        self._broker.restart()

    def rule(self, network: Network) -> None:
        """Have the network behave otherwise from now on."""
        self._broker.network.change(network)

    def _fault(self, why: str, client_id: str) -> None:
        self._note("fault", client_id, why=why)
