"""The simulated network: every client's path to one broker, and the connections over it, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from becomingone.broker.reasons import Reason
from becomingone.scheduling import NANOSECONDS, Scheduler
from becomingone.sim import plan
from becomingone.sim.connection import Connection, End
from becomingone.sim.events import Note, ignore
from becomingone.sim.lane import Lane

DIAL_RETRY_NS: Final = NANOSECONDS
"""An opening segment that is not answered is repeated after 1 s (RFC 6298, 2.1), and would be after 3 s."""

DIAL_TIMEOUT_NS: Final = 2 * NANOSECONDS
"""As the real link's `TCP_TIMEOUT_S`."""


class Caller(Protocol):
    """Who wants a connection."""

    def opened(self, connection: Connection) -> None:
        """Hear that it stands; give `Connection.client`."""
        ...

    def refused(self, reason: Reason, line: str) -> None:
        """Hear that there is none, and why."""
        ...


class Listener(Protocol):
    """Who takes connections."""

    def accept(self, connection: Connection) -> End | None:
        """Take one, or refuse."""
        ...


class Path:
    """What lies between one client and the broker.

    Parameters
    ----------
    client_id : str
        The client.
    seed : int
        Of the run.
    rules : PathRules
        How it behaves.
    """

    def __init__(self, client_id: str, seed: int, rules: plan.PathRules) -> None:
        self.client_id = client_id
        self.blocks = 0
        self.up = Lane(rules.up, seed, client_id, "up")
        self.down = Lane(rules.down, seed, client_id, "down")

    def change(self, rules: plan.PathRules) -> None:
        """Behave otherwise from now on."""
        self.up.rules, self.down.rules = rules.up, rules.down


class Network:
    """All paths to one broker.

    Parameters
    ----------
    scheduler : Scheduler
        Whose time it lives in.
    seed : int
        Of the run.
    rules : plan.Network
        How the paths behave.
    note : callable
        Takes note of faults.
    """

    def __init__(
        self, scheduler: Scheduler, seed: int, *, rules: plan.Network | None = None, note: Note = ignore
    ) -> None:
        self.scheduler = scheduler
        self.note = note
        self.broker_powered = True
        self._seed = seed
        self._rules = rules or plan.Network()
        self._paths: dict[str, Path] = {}

    @property
    def stall_ns(self) -> int:
        """A connection on which nothing gets through for so many nanoseconds breaks."""
        return round(self._rules.stall_s * NANOSECONDS)

    def change(self, rules: plan.Network) -> None:
        """Behave otherwise from now on; what is under way comes as it was to come."""
        self._rules = rules
        for path in self._paths.values():
            path.change(rules.path(path.client_id))

    def path(self, client_id: str) -> Path:
        """Give the path between a client and the broker."""
        path = self._paths.get(client_id)
        if path is None:
            path = self._paths[client_id] = Path(client_id, self._seed, self._rules.path(client_id))
        return path

    def dial(self, client_id: str, caller: Caller, listener: Listener) -> Callable[[], None]:
        """Open a connection; the caller hears how it went. Returns what calls the attempt off."""
        path = self.path(client_id)
        began = self.scheduler.monotonic_ns()
        wanted = [True]

        def give_up() -> None:
            wanted[0] = False

        def refuse(reason: Reason, line: str) -> None:
            if wanted[0]:
                caller.refused(reason, line)

        def attempt(wait_ns: int) -> None:
            round_trip = path.up.delay_ns() + path.down.delay_ns()
            self._after(round_trip, lambda: answer(wait_ns))

        def answer(wait_ns: int) -> None:
            if not wanted[0]:
                return
            now = self.scheduler.monotonic_ns()
            if path.blocks or not self.broker_powered:
                rest = began + DIAL_TIMEOUT_NS - now
                if rest <= wait_ns:
                    self._after(max(rest, 0), lambda: refuse(Reason.TIMEOUT, "nothing answers there"))
                else:
                    self._after(wait_ns, lambda: attempt(2 * wait_ns) if wanted[0] else None)
                return
            connection = Connection(self, path)
            connection.server = listener.accept(connection)
            if connection.server is None:
                refuse(Reason.REFUSED, "the broker is not there")
            else:
                caller.opened(connection)

        attempt(DIAL_RETRY_NS)
        return give_up

    def _after(self, delay_ns: int, callback: Callable[[], None]) -> None:
        self.scheduler.call_at(self.scheduler.monotonic_ns() + delay_ns, callback)
