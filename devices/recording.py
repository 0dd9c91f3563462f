"""A recording, replayed in step with every other device that replays it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from becomingone.devices._pace import Pace, exact
from becomingone.devices._table import PACKAGED, read_columns
from becomingone.devices._wave import MOST_CHANNELS, WaveFile
from becomingone.devices.contract import Block, Channel, Origin, Ports
from becomingone.errors import DeviceError

_HIGHEST_RATE_HZ = 50_000
_SATURATED = 0.999
_INSIDE = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")

ChannelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What to replay, and how fast."""

    file: Annotated[
        str,
        Field(
            min_length=1,
            description="CSV file, .gz allowed, or WAV file; package:FOLDER/FILE for a recording that comes along",
        ),
    ]
    columns: Annotated[
        dict[ChannelName, str], Field(max_length=16, description="CSV, required: channel name: column of the file")
    ] = {}
    channels: Annotated[
        dict[ChannelName, Annotated[int, Field(ge=1, le=MOST_CHANNELS)]],
        Field(max_length=16, description="WAV: channel name: number of the file's channel, from 1; else their mean"),
    ] = {}
    unit: Annotated[str, Field(max_length=32, description="unit of the samples, as people write it; CSV: required")] = (
        ""
    )
    quantity: Annotated[
        str, Field(min_length=1, max_length=64, description="kind of quantity, e.g. angular_rate; CSV: required")
    ] = "sound_wave"
    floor: Annotated[
        float, Field(ge=0, description="smallest oscillation above the sensor's noise, in unit; CSV: required")
    ] = 0.001
    rate_hz: Annotated[
        float | None,
        Field(gt=0, le=_HIGHEST_RATE_HZ, description="samples a second when recorded, Hz; CSV: required; WAV: says so"),
    ] = None
    gain: Annotated[
        float, Field(gt=0, le=1e9, description="every sample is multiplied by it; WAV: units at full scale")
    ] = 1.0
    from_s: Annotated[float, Field(ge=0, description="where to begin, recorded seconds from the first sample")] = 0.0
    until_s: Annotated[float | None, Field(gt=0, description="where to stop, recorded s; the end of the file")] = None
    loop: Annotated[bool, Field(description="begin again at the end")] = True
    speed: Annotated[float, Field(gt=0, le=1e9, description="recorded seconds replayed in a second")] = 1.0
    start_us: Annotated[int, Field(ge=0, lt=1 << 62, description="mesh time of the first sample, µs since 1970")] = 0
    where: Annotated[dict[str, str], Field(description="CSV: only rows with these values, as column: value")] = {}
    time_column: Annotated[
        str | None,
        Field(description="CSV: column of the rows' times (ISO 8601 or s); missing rows become missing samples"),
    ] = None

    @property
    def is_wave(self) -> bool:
        """Whether the file is a WAV file, by its name."""
        return self.file.lower().endswith((".wav", ".wave"))

    @model_validator(mode="after")
    def _fits_the_file(self) -> Self:
        given = self.model_fields_set
        if self.is_wave:
            foreign = [name for name in ("columns", "where", "time_column", "rate_hz") if name in given]
            if foreign:
                msg = f"a WAV file has no {foreign[0]}"
                raise ValueError(msg)
            return self
        if "channels" in given:
            msg = "a CSV file has columns, not channels"
            raise ValueError(msg)
        missing = [name for name in ("columns", "unit", "quantity", "floor", "rate_hz") if name not in given]
        if missing or not self.columns or self.rate_hz is None:
            msg = f"a CSV file needs {missing[0] if missing else 'rate_hz' if self.columns else 'columns'}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.until_s is not None and self.until_s <= self.from_s:
            msg = f"until_s ({self.until_s}) must be after from_s ({self.from_s})"
            raise ValueError(msg)
        if self.rate_hz is not None and self.rate_hz * self.speed > _HIGHEST_RATE_HZ:
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
        self._source: _Source = _Wave(options) if options.is_wave else _Table(options)
        rate = exact(self._source.rate_hz) * exact(options.speed)
        if rate > _HIGHEST_RATE_HZ:
            self._source.close()
            msg = f"{options.file}: its rate · speed is {float(rate):g} Hz, above {_HIGHEST_RATE_HZ}"
            raise DeviceError(msg)
        self.channels = tuple(
            Channel(name, options.unit, float(rate), options.quantity, options.floor, options.speed)
            for name in self._source.names
        )
        self._gain = options.gain
        try:
            self._first, stop = _part(options, self._source)
        except DeviceError:
            self._source.close()
            raise
        self._length = stop - self._first
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
            rows = self._source.read(self._first + row, self._first + row + stop - first)
            for channel, samples in zip(self.channels, rows, strict=True):
                loud = self._source.full_scale and bool(np.any(np.abs(samples) >= _SATURATED))
                scaled = samples * self._gain
                blocks.append(Block(channel.name, start_ns, self._pace.spacing_ns, scaled, gap=gap, saturated=loud))
            first = stop
        return blocks

    def close(self) -> None:
        """Let the file go."""
        self._source.close()


class _Source(Protocol):
    """What is replayed."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def rate_hz(self) -> float: ...

    @property
    def length(self) -> int: ...

    @property
    def full_scale(self) -> bool:
        """Whether ±1 is all that the samples can be."""
        ...

    def read(self, first: int, stop: int) -> NDArray[np.float64]:
        """Give samples `first` to `stop` (not included), shape (n_channels, n_samples)."""
        ...

    def close(self) -> None: ...


class _Table:
    """The columns of a CSV file, read as a whole."""

    full_scale = False

    def __init__(self, options: Options) -> None:
        self.names = tuple(options.columns)
        self.rate_hz = options.rate_hz or 0.0
        self._samples = read_columns(
            options.file,
            list(options.columns.values()),
            where=options.where,
            time_column=options.time_column,
            rate_hz=self.rate_hz,
        )
        self.length = self._samples.shape[1]

    def read(self, first: int, stop: int) -> NDArray[np.float64]:
        return self._samples[:, first:stop]

    def close(self) -> None:
        pass


class _Wave:
    """Channels of a WAV file, or the mean of all, read as they are wanted."""

    full_scale = True

    def __init__(self, options: Options) -> None:
        self._file = WaveFile(options.file)
        self.names = tuple(options.channels) or ("sound",)
        self.rate_hz = float(self._file.rate_hz)
        self.length = self._file.length
        self._rows = [number - 1 for number in options.channels.values()]
        absent = [number for number in options.channels.values() if number > self._file.n_channels]
        if absent:
            self._file.close()
            msg = f"{options.file} has no channel {absent[0]}; it has {self._file.n_channels}"
            raise DeviceError(msg)

    def read(self, first: int, stop: int) -> NDArray[np.float64]:
        samples = self._file.read(first, stop)
        return samples[self._rows] if self._rows else samples.mean(axis=0, keepdims=True)

    def close(self) -> None:
        self._file.close()


def _part(options: Options, source: _Source) -> tuple[int, int]:
    """Give the samples' indices that ``from_s`` and ``until_s`` stand for."""
    rate = exact(source.rate_hz)
    first = math.ceil(exact(options.from_s) * rate)
    stop = source.length if options.until_s is None else min(source.length, math.ceil(exact(options.until_s) * rate))
    if stop <= first:
        length_s = source.length / source.rate_hz
        msg = f"{options.file} is {length_s:g} s long: nothing is left from {options.from_s:g} s on"
        raise DeviceError(msg)
    return first, stop
