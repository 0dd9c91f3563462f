"""Reads the wanted columns of a CSV file, plain or gzipped, as evenly spaced samples."""

from __future__ import annotations

import csv
import gzip
import importlib.resources
import math
import zlib
from array import array
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from becomingone.errors import DeviceError, DeviceUnavailableError

PACKAGED = "package:"
"""What a source starts with that is one of the recordings that come with BecomingONE."""

_DATA = "becomingone.data"
_MISSING = frozenset({"", "na", "nan"})
_MOST_SAMPLES = 20_000_000


def read_columns(
    source: str,
    columns: Sequence[str],
    *,
    where: Mapping[str, str],
    time_column: str | None,
    rate_hz: float,
) -> NDArray[np.float64]:
    """Read some columns of a recording.

    Parameters
    ----------
    source : str
        A path, or ``package:FOLDER/FILE``; a name that ends in ``.gz`` is unpacked.
    columns : sequence of str
        The columns wanted, by the names in the first line.
    where : mapping
        Only rows that have these values in these columns.
    time_column : str, optional
        Holds each row's time, as ISO 8601 (UTC where it names no zone) or in seconds. Rows then go to the nearest
        place of a grid that spans the whole file, other rows than the chosen ones included; the last of several
        rows at one place wins. Without it each row is one sample.
    rate_hz : float
        The grid's samples a second; ignored without `time_column`.

    Returns
    -------
    ndarray of float64, shape (n_columns, n_samples)
        NaN where the file says ``NA``, ``nan`` or nothing, or has no row.

    Raises
    ------
    DeviceError
        The content cannot be used; names file, line and column.
    DeviceUnavailableError
        There is no such file, or it cannot be read now.
    """
    try:
        with _opened(source) as lines:
            return _parse(source, csv.reader(lines), columns, where, time_column, rate_hz)
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeError, csv.Error) as error:
        msg = f"{source} is not a readable CSV file: {error}"
        raise DeviceError(msg) from error
    except OSError as error:
        msg = f"the recording {source} cannot be opened: {error.strerror or error}"
        raise DeviceUnavailableError(msg) from error


@contextmanager
def _opened(source: str) -> Generator[TextIOWrapper]:
    packaged = source.startswith(PACKAGED)
    place = importlib.resources.files(_DATA) / source.removeprefix(PACKAGED) if packaged else Path(source)
    with place.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if source.endswith(".gz") else raw
        with TextIOWrapper(stream, encoding="utf-8-sig", newline="") as lines:
            yield lines


def _parse(
    source: str,
    rows: Iterator[list[str]],
    columns: Sequence[str],
    where: Mapping[str, str],
    time_column: str | None,
    rate_hz: float,
) -> NDArray[np.float64]:
    header = [name.strip() for name in next(rows, list[str]())]
    wanted = [(name, _index(source, header, name), array("d")) for name in columns]
    filters = [(_index(source, header, name), value) for name, value in where.items()]
    clock = None if time_column is None else _index(source, header, time_column)
    times = array("d")
    kept = array("q")
    for number, row in enumerate(rows):
        if len(row) != len(header):
            if not row:
                continue
            msg = f"{source}, line {number + 2}: {len(row)} fields, but the first line names {len(header)} columns"
            raise DeviceError(msg)
        if clock is not None:
            times.append(_cell(source, number, header[clock], row[clock], _seconds))
        if filters and any(row[index].strip() != value for index, value in filters):
            continue
        kept.append(len(times) - 1)
        for name, index, values in wanted:
            values.append(_cell(source, number, name, row[index], _number))
    if not kept:
        chosen = " with " + ", ".join(f"{name} = {value}" for name, value in where.items()) if where else ""
        msg = f"{source} has no rows{chosen}"
        raise DeviceError(msg)
    table = np.array([values for _, _, values in wanted], dtype=np.float64)
    return table if clock is None else _on_grid(source, table, np.array(times), np.array(kept), rate_hz)


def _index(source: str, header: list[str], name: str) -> int:
    if name not in header:
        msg = f"{source} has no column {name!r}; its columns are {', '.join(header) or 'none'}"
        raise DeviceError(msg)
    return header.index(name)


def _cell(source: str, number: int, column: str, text: str, convert: Callable[[str], float]) -> float:
    try:
        return convert(text)
    except (ValueError, OverflowError) as error:
        msg = f"{source}, line {number + 2}, column {column}: {error}"
        raise DeviceError(msg) from error


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        if text.strip().lower() in _MISSING:
            return math.nan
        msg = f"{text!r} is not a number"
        raise ValueError(msg) from None
    if math.isinf(value):
        msg = f"{text!r} is not a finite number"
        raise ValueError(msg)
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(value):
        msg = f"{text!r} is not a time"
        raise ValueError(msg)
    return value


def _on_grid(
    source: str, table: NDArray[np.float64], times: NDArray[np.float64], kept: NDArray[np.int64], rate_hz: float
) -> NDArray[np.float64]:
    start = float(times.min())
    length = round((float(times.max()) - start) * rate_hz) + 1
    if length * len(table) > _MOST_SAMPLES:
        most = _MOST_SAMPLES // len(table)
        msg = f"{source} spans {length} samples at {rate_hz} Hz, more than {most}: is rate_hz right?"
        raise DeviceError(msg)
    grid = np.full((len(table), length), np.nan)
    for place, values in zip(np.rint((times[kept] - start) * rate_hz).astype(np.int64), table.T, strict=True):
        grid[:, place] = values
    return grid
