"""The processor's temperature, from Linux's thermal zones; needs no library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from becomingone.devices.contract import Channel, Origin, Ports
from becomingone.errors import DeviceUnavailableError

_KNOWN = ("cpu-thermal", "cpu_thermal", "soc-thermal", "x86_pkg_temp", "coretemp", "k10temp")


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Where to look, and how often."""

    zone: Annotated[str | None, Field(max_length=64, description="type of the thermal zone; else the processor's")] = (
        None
    )
    path: Annotated[Path, Field(description="folder of the zones")] = Path("/sys/class/thermal")
    rate_hz: Annotated[float, Field(ge=0.001, le=10, description="readings a second, Hz")] = 1.0


class Device:
    """A sensor of one channel, ``temperature``, in °C; its floor is 0.5 °C, the step of a Raspberry Pi's sensor.

    Linux keeps a folder ``thermal_zone<n>`` for each zone with the files ``type`` (``cpu-thermal`` on a Raspberry Pi)
    and ``temp``, thousandths of a °C (Documentation/driver-api/thermal/sysfs-api.rst).

    Parameters
    ----------
    options : Options
        Where to look.
    ports : Ports
        Not needed.

    Raises
    ------
    DeviceUnavailableError
        There is no such zone; names those that there are.

    Examples
    --------
    >>> Options(rate_hz=0.1).path.as_posix()
    '/sys/class/thermal'
    """

    origin: Origin = "live"

    def __init__(self, options: Options, ports: Ports) -> None:  # noqa: ARG002 - the contract's
        self.channels = (Channel("temperature", "°C", options.rate_hz, "temperature", 0.5),)
        self._file = _find(options.path, options.zone) / "temp"
        self.read()

    def read(self) -> dict[str, float | None]:
        """Give the temperature now; None where the kernel has none just now, which it tells by an error of its own.

        Raises
        ------
        DeviceUnavailableError
            The zone is gone, or holds no number.
        """
        try:
            return {"temperature": int(self._file.read_text("ascii")) / 1000.0}
        except FileNotFoundError as error:
            msg = f"{self._file} is not there any more"
            raise DeviceUnavailableError(msg) from error
        except OSError:
            return {"temperature": None}
        except ValueError as error:
            msg = f"{self._file} holds no number: {error}"
            raise DeviceUnavailableError(msg) from error

    def close(self) -> None:
        """Nothing to let go of."""


def _find(folder: Path, wanted: str | None) -> Path:
    zones: dict[str, Path] = {}
    for file in sorted(folder.glob("thermal_zone*/type")):
        try:
            zones.setdefault(file.read_text("utf-8", errors="replace").strip(), file.parent)
        except OSError:
            continue
    for name in (wanted,) if wanted is not None else (*_KNOWN, *list(zones)[:1]):
        if name in zones:
            return zones[name]
    what = "a processor's" if wanted is None else f"the type {wanted}"
    msg = f"no thermal zone of {what} in {folder}; there are {', '.join(zones) or 'none'}"
    raise DeviceUnavailableError(msg)
