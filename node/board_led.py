"""The activity light of a Raspberry Pi's board, through the kernel's LED class.

References
----------
.. [1] Linux, Documentation/ABI/testing/sysfs-class-led and sysfs-class-led-trigger-timer: ``trigger`` lists what may
   drive the light, the present one in brackets; the trigger ``timer`` brings ``delay_on`` and ``delay_off``, in ms.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Final

NAMES: Final = ("ACT", "led0")
"""What the light is called by newer kernels, and by older ones."""

_LEDS: Final = Path("/sys/class/leds")
_PRESENT: Final = re.compile(r"\[([\w-]+)\]")
_LOG = logging.getLogger(__name__)


class BoardLed:
    """The light, where there is one that this user may write.

    Parameters
    ----------
    leds : Path
        The folder of the kernel's lights.
    """

    def __init__(self, leds: Path = _LEDS) -> None:
        self._folder = next((leds / name for name in NAMES if (leds / name / "trigger").exists()), None)
        self._before: str | None = None

    def blink(self, half_s: float) -> bool:
        """Have the kernel blink it, so many seconds on and as many off; False where that cannot be done."""
        if self._folder is None:
            return False
        trigger = self._folder / "trigger"
        try:
            present = _PRESENT.search(trigger.read_text("ascii"))
            if present is None:
                return False
            trigger.write_text("timer", "ascii")
            self._before = self._before or present[1]
            for delay in ("delay_on", "delay_off"):
                (self._folder / delay).write_text(str(round(half_s * 1000)), "ascii")
        except OSError as error:
            _LOG.debug("%s cannot be made to blink: %s", self._folder, error)
            self.restore()
            return False
        return True

    def restore(self) -> None:
        """Have it driven as before."""
        before, self._before = self._before, None
        if self._folder is not None and before is not None:
            try:
                (self._folder / "trigger").write_text(before, "ascii")
            except OSError as error:
                _LOG.warning("%s blinks on: %s", self._folder, error)
