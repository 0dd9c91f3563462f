"""What every display is told, checked: a hue and a brightness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

_RANGES: Final = {"hue": 360.0, "brightness": 1.0}


def display_values(values: Mapping[str, float]) -> tuple[float, float]:
    """Give the hue, 0..360 degrees, and the brightness, 0..1.

    Raises
    ------
    ValueError
        A value is missing, unknown, not finite or out of range.

    Examples
    --------
    >>> display_values({"hue": 120.0, "brightness": 0.5})
    (120.0, 0.5)
    """
    if set(values) != set(_RANGES):
        msg = f"a display takes hue and brightness, not {', '.join(sorted(values)) or 'nothing'}"
        raise ValueError(msg)
    for name, highest in _RANGES.items():
        if not (math.isfinite(values[name]) and 0 <= values[name] <= highest):
            msg = f"{name} must be 0..{highest:g}, not {values[name]}"
            raise ValueError(msg)
    return values["hue"], values["brightness"]
