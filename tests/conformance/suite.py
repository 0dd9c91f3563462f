"""All behaviours, in the order in which they are asked for, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from . import crashes, crowds, delivery, limits, names, retained, sessions, waits, wills
from .behaviour import Behaviour, DiffersError, Outcome, Verdict
from .differences import asks
from .fabric import Fabric
from .stage import Stage


def _of(*modules: ModuleType) -> Iterator[Behaviour]:
    for module in modules:
        yield from (value for value in vars(module).values() if isinstance(value, Behaviour))


BEHAVIOURS = tuple(_of(delivery, names, retained, wills, sessions, crowds, limits, waits, crashes))
"""What takes seconds has been begun before the first; a crash ends it all."""


def asked_of(broker: str) -> tuple[Behaviour, ...]:
    """Give what a broker is asked for."""
    return tuple(behaviour for behaviour in BEHAVIOURS if asks(broker, behaviour))


class Run:
    """A broker that is being asked.

    Parameters
    ----------
    make : callable
        Starts the broker.
    behaviours : sequence of Behaviour
        What it will be asked for.
    """

    def __init__(self, make: Callable[[], Fabric], behaviours: Sequence[Behaviour]) -> None:
        self.fabric = make()
        self._begun: dict[str, tuple[Stage, Any]] = {}
        try:
            for behaviour in behaviours:
                if behaviour.prepare is not None and not self._lack(behaviour):
                    self._begin(behaviour.says, behaviour.prepare)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave nothing behind."""
        try:
            for stage, _ in self._begun.values():
                stage.clear()
        finally:
            self.fabric.close()

    def ask(self, behaviour: Behaviour) -> Outcome:
        """Ask for one behaviour.

        Raises
        ------
        Exception
            Whatever is no difference is a fault of the suite, or of the link.
        """
        lack = self._lack(behaviour)
        if lack is not None:
            return Outcome(Verdict.NOT_APPLICABLE, lack)
        stage, *begun = self._begun.pop(behaviour.says, (Stage(self.fabric),))
        try:
            if begun and isinstance(begun[0], DiffersError):
                raise begun[0]
            behaviour.check(stage, *begun)
            outcome = Outcome(Verdict.YES)
        except DiffersError as difference:
            outcome = Outcome(Verdict.NO, str(difference))
        finally:
            stage.clear()
        left = self.fabric.take_failures()
        assert not left, f"exceptions that nobody caught: {left}"
        return outcome

    def _begin(self, says: str, prepare: Callable[[Stage], Any]) -> None:
        stage = Stage(self.fabric)
        self._begun[says] = stage, None  # to be cleared, whatever comes of it
        try:
            self._begun[says] = stage, prepare(stage)
        except DiffersError as difference:
            self._begun[says] = stage, difference

    def _lack(self, behaviour: Behaviour) -> str | None:
        return next((self.fabric.lacks[need] for need in behaviour.needs if need in self.fabric.lacks), None)
