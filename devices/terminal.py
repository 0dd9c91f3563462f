"""A display for a machine without a screen: a coloured stripe in the terminal, or plain lines in a log."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field

from becomingone.devices._display import display_values
from becomingone.devices.contract import Ports
from becomingone.errors import DeviceUnavailableError

_HUE_STEP = 5.0
_BRIGHTNESS_STEP = 0.02


class Options(BaseModel, frozen=True, extra="forbid"):
    """How the stripe looks."""

    width: Annotated[int, Field(ge=1, le=200, description="width of the stripe, in characters")] = 12


class Device:
    """An output with the role ``display``.

    Parameters
    ----------
    options : Options
        How the stripe looks.
    ports : Ports
        Lends the terminal. Where it is none (a file, a pipe), a line is written whenever the hue has moved by 5° or
        the brightness by 0.02.

    Examples
    --------
    >>> Options().width
    12
    """

    role = "display"

    def __init__(self, options: Options, ports: Ports) -> None:
        self._width = options.width
        self._terminal = ports.terminal
        self._colours = self._terminal.isatty()
        self._shown: tuple[float, float] | None = None
        self._resting = False

    def apply(self, values: Mapping[str, float]) -> None:
        """Show a colour.

        Parameters
        ----------
        values : mapping
            ``hue``, 0..360 degrees, and ``brightness``, 0..1.

        Raises
        ------
        ValueError
            A value is missing, unknown, not finite or out of range; what is shown stays.
        """
        hue, brightness = display_values(values)
        if self._colours:
            self._write(f"\r{self._stripe(hue, brightness)} hue {hue:3.0f} brightness {brightness:.2f}\x1b[K")
        elif self._noticeable(hue, brightness):
            self._write(f"display hue {hue:.0f} brightness {brightness:.2f}\n")
            self._shown = (hue, brightness)
        self._resting = False

    def rest(self) -> None:
        """Go dark, and say so once."""
        if not self._resting:
            self._write(f"\r{self._stripe(0, 0)} display rests\x1b[K\n" if self._colours else "display rests\n")
        self._shown = None
        self._resting = True

    def _noticeable(self, hue: float, brightness: float) -> bool:
        if self._shown is None:
            return True
        turn = abs(hue - self._shown[0])
        return min(turn, 360 - turn) >= _HUE_STEP or abs(brightness - self._shown[1]) >= _BRIGHTNESS_STEP

    def _stripe(self, hue: float, brightness: float) -> str:
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue / 360, 1.0, brightness))
        return f"\x1b[48;2;{red};{green};{blue}m{' ' * self._width}\x1b[0m"

    def _write(self, text: str) -> None:
        try:
            self._terminal.write(text)
            self._terminal.flush()
        except (OSError, ValueError) as error:  # ValueError: it was closed
            msg = f"the terminal cannot be written to: {error}"
            raise DeviceUnavailableError(msg) from error
