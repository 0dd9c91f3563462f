"""A recording, replayed in step with every other device that replays it."""

from __future__ import annotations

import math
import re
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from becomingone.devices._pace import Pace, exact
from becomingone.devices._table import PACKAGED, read_columns
from becomingone.devices.contract import Block, Channel, Origin, Ports
from becomingone.errors import DeviceError

_HIGHEST_RATE_HZ = 50_000
_INSIDE = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")

ChannelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What to replay, and how fast."""

    file: Annotated[
        str,
        Field(min_length=1, description="CSV file, .gz allowed; package:FOLDER/FILE for a recording that comes along"),
    ]
    columns: Annotated[
        dict[ChannelName, str], Field(min_length=1, max_length=16, description="channel name: column of the file")
    ]
    unit: Annotated[str, Field(max_length=32, description="unit of the columns, as people write it")]
    quantity: Annotated[str, Field(min_length=1, max_length=64, description="kind of quantity, e.g. angular_rate")]
    floor: Annotated[float, Field(ge=0, description="smallest oscillation above the sensor's noise, in unit")]
    rate_hz: Annotated[float, Field(gt=0, le=_HIGHEST_RATE_HZ, description="samples a second when recorded, Hz")]
    from_s: Annotated[float, Field(ge=0, description="where to begin, recorded seconds from the first sample")] = 0.0
    until_s: Annotated[float | None, Field(gt=0, description="where to stop, recorded s; the end of the file")] = None
    loop: Annotated[bool, Field(description="begin again at the end")] = True
    speed: Annotated[float, Field(gt=0, le=1e9, description="recorded seconds replayed in a second")] = 1.0
    start_us: Annotated[int, Field(ge=0, lt=1 << 62, description="mesh time of the first sample, µs since 1970")] = 0
    where: Annotated[dict[str, str], Field(description="only rows with these values, as column: value")] = {}
    time_column: Annotated[
        str | None, Field(description="column of the rows' times (ISO 8601 or s); missing rows become missing samples")
    ] = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.until_s is not None and self.until_s <= self.from_s:
            msg = f"until_s ({self.until_s}) must be after from_s ({self.from_s})"
            raise ValueError(msg)
        if self.rate_hz * self.speed > _HIGHEST_RATE_HZ:
            msg = f"rate_hz · speed is {self.rate_hz * self.speed:g} Hz, above {_HIGHEST_RATE_HZ}"
            raise ValueError(msg)
        if self.file.startswith(PACKAGED) and not _INSIDE.fullmatch(self.file.removeprefix(PACKAGED)):
            msg = f"file must be {PACKAGED}FOLDER/FILE without .. in it, not {self.file!r}"
            raise ValueError(msg)
        return self


class Device:
    """A sensor that gives a recording's samples at the pace at which they were taken.

    Sample k of the replay is at mesh time ``start_us`` + k/(``rate_hz``·``speed``) exactly, so nodes that replay one
    recording are in step without a word between them. Where a looped recording begins again, a block with ``gap`` set
    begins too.

    Parameters
    ----------
    options : Options
        What to replay.
    ports : Ports
        Lends the clock.

    Examples
    --------
    >>> Options(
    ...     file="package:walking-two-imus/upper_leg.csv",
    ...     columns={"thigh": "gyr_z_rad_s"},
    ...     unit="rad/s",
    ...     quantity="angular_rate",
    ...     floor=0.05,
    ...     rate_hz=120,
    ... ).loop
    True
    """

    origin: Origin = "replayed"

    def __init__(self, options: Options, ports: Ports) -> None:
        rate = exact(options.rate_hz) * exact(options.speed)
        self.channels = tuple(
            Channel(name, options.unit, float(rate), options.quantity, options.floor, options.speed)
            for name in options.columns
        )
        self._samples = _chosen(options)
        self._length = self._samples.shape[1]
        self._pace = Pace(ports.clock, rate, options.start_us, None if options.loop else self._length)

    def read(self) -> list[Block]:
        """Give every sample that has come due since the last call, at most 5 s of them."""
        due = self._pace.due()
        blocks: list[Block] = []
        first = due.first if due else 0
        while due and first < due.stop:
            row = first % self._length
            stop = min(due.stop, first + self._length - row)
            gap = (due.gap and first == due.first) or (row == 0 and first > 0)
            start_ns = self._pace.instant_ns(first)
            for channel, samples in zip(self.channels, self._samples[:, row : row + stop - first], strict=True):
                blocks.append(Block(channel.name, start_ns, self._pace.spacing_ns, samples.copy(), gap=gap))
            first = stop
        return blocks

    def close(self) -> None:
        """Nothing to let go of."""


def _chosen(options: Options) -> NDArray[np.float64]:
    """Give the samples between ``from_s`` and ``until_s``, shape (n_channels, n_samples)."""
    samples = read_columns(
        options.file,
        list(options.columns.values()),
        where=options.where,
        time_column=options.time_column,
        rate_hz=options.rate_hz,
    )
    length = samples.shape[1]
    rate = exact(options.rate_hz)
    first = math.ceil(exact(options.from_s) * rate)
    stop = length if options.until_s is None else min(length, math.ceil(exact(options.until_s) * rate))
    if stop <= first:
        msg = f"{options.file} is {length / options.rate_hz:g} s long: nothing is left from {options.from_s:g} s on"
        raise DeviceError(msg)
    return samples[:, first:stop].copy()
