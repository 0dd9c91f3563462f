"""Showing which device this is: displays and the board's own light blink, speakers beep, motors stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from becomingone.node.board_led import BoardLed
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer

HALF_S: Final = 0.5
"""Seconds on, then as many off: one flash a second, well below the three that WCAG 2.2 allows (2.3.1)."""

SIGNS: Final[Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]]] = {
    "display": ({"hue": 300.0, "brightness": 1.0}, {"hue": 300.0, "brightness": 0.0}),
    "speaker": ({"frequency": 880.0, "volume": 0.5}, {"frequency": 880.0, "volume": 0.0}),
}
"""On and off, by an output's role; what has no sign here takes no part."""

WHY: Final = "identify"


class Showing(Protocol):
    """An output that can be made to show something for a while."""

    @property
    def role(self) -> str:
        """``display``, ``speaker``, ``motor``."""
        ...

    def show(self, values: Mapping[str, float], why: str, seconds: float) -> bool:
        """Show this instead of what it does; after so many seconds it goes back to that by itself.

        It ends at once when the output has to rest. False where it does not: a motor never does, a device may fail.
        """
        ...


class Identify:
    """Shows the node for some seconds.

    Parameters
    ----------
    outputs : callable
        Gives the outputs that there are just now, by name.
    scheduler : Scheduler
        Gives the turns.
    led : BoardLed, optional
        The board's own light.
    """

    def __init__(
        self, outputs: Callable[[], Mapping[str, Showing]], *, scheduler: Scheduler, led: BoardLed | None = None
    ) -> None:
        self._outputs = outputs
        self._scheduler = scheduler
        self._led = led
        self._timer: Timer | None = None
        self._until_ns = 0

    def begin(self, seconds: float) -> list[str]:
        """Begin, or begin anew; give the names of what shows it, empty where nothing can."""
        self.end()
        self._until_ns = self._scheduler.monotonic_ns() + int(seconds * NANOSECONDS)
        lit = self._led is not None and self._led.blink(HALF_S)
        shown = list(self._flash(on=True))
        if lit:
            shown.append("the light on its board")
        if shown:
            self._wait(on=False)
        return shown

    def end(self) -> None:
        """Stop showing it, at once; harmless where nothing is shown. To be called when the node stops."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if self._led is not None:
                self._led.restore()

    def _turn(self, *, on: bool) -> None:
        if self._scheduler.monotonic_ns() >= self._until_ns:
            self.end()  # what the outputs were last shown ends by itself, just now
        else:
            list(self._flash(on=on))
            self._wait(on=not on)

    def _flash(self, *, on: bool) -> Iterable[str]:
        # Twice the time until the next turn, so that a turn that comes late leaves no hole; never beyond the end.
        left_s = (self._until_ns - self._scheduler.monotonic_ns()) / NANOSECONDS
        for name, output in self._outputs().items():
            signs = SIGNS.get(output.role)
            if signs is not None and output.show(signs[0 if on else 1], WHY, min(2 * HALF_S, left_s)):
                yield name

    def _wait(self, *, on: bool) -> None:
        due = min(self._scheduler.monotonic_ns() + int(HALF_S * NANOSECONDS), self._until_ns)
        self._timer = self._scheduler.call_at(due, lambda: self._turn(on=on))
