"""XDF files, written as a stream: what LabRecorder writes and pyxdf, EEGLAB and MNE read.

The format: "XDF 1.0", https://github.com/sccn/xdf/wiki/Specifications. A file is the magic ``XDF:`` and chunks, each of
its length, a tag and its content. We write one clock offset of 0 at the beginning and one at the end of each stream,
for all our times are on the mesh's clock already: a reader that corrects clocks changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

MAGIC: Final = b"XDF:"
FILE_HEADER, STREAM_HEADER, SAMPLES, CLOCK_OFFSET, STREAM_FOOTER = 1, 2, 3, 4, 6

_SHORT: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of a stream.

    Parameters
    ----------
    label, unit : str
        What it is, and in which unit.
    """

    label: str
    unit: str


@dataclass(slots=True)
class _Stream:
    format: str
    columns: int
    count: int = 0
    first: float = 0.0
    last: float = 0.0


class XdfWriter:
    """Writes streams of samples, in any order.

    Parameters
    ----------
    file : BinaryIO
        Where to; what has been written is never read again.
    started : str
        Date and time for the header, ISO 8601.
    """

    def __init__(self, file: BinaryIO, *, started: str) -> None:
        self._file = file
        self._streams: dict[int, _Stream] = {}
        file.write(MAGIC)
        header = f"<info><version>1.0</version><datetime>{escape(started)}</datetime></info>"
        self._chunk(FILE_HEADER, b'<?xml version="1.0"?>' + header.encode())

    def stream(
        self,
        name: str,
        kind: str,
        channels: Sequence[Channel],
        *,
        channel_format: str,
        source: str,
        about: Mapping[str, str],
    ) -> int:
        """Begin a stream.

        Parameters
        ----------
        name, kind : str
            Its name, and what XDF calls its type.
        channels : sequence of Channel
            Its columns.
        channel_format : str
            ``float32``, ``double64`` or ``string``.
        source : str
            What tells it from all others.
        about : mapping
            What else there is to say: goes into ``desc``.

        Returns
        -------
        int
            Its number.
        """
        number = len(self._streams) + 1
        self._streams[number] = _Stream(channel_format, len(channels))
        columns = "".join(
            f"<channel><label>{escape(c.label)}</label><unit>{escape(c.unit)}</unit></channel>" for c in channels
        )
        more = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in about.items())
        header = (
            f"<info><name>{escape(name)}</name><type>{escape(kind)}</type><channel_count>{len(channels)}</channel_count>"
            f"<nominal_srate>0</nominal_srate><channel_format>{channel_format}</channel_format>"
            f"<source_id>{escape(source)}</source_id><desc>{more}<channels>{columns}</channels></desc></info>"
        )
        self._of(STREAM_HEADER, number, b'<?xml version="1.0"?>' + header.encode())
        return number

    def samples(
        self, number: int, stamps: NDArray[np.float64], values: NDArray[np.float64] | NDArray[np.float32]
    ) -> None:
        """Write samples.

        Parameters
        ----------
        number : int
            The stream's, of numbers.
        stamps : ndarray of float, shape (n,)
            Seconds since the Unix epoch.
        values : ndarray, shape (n, columns)
            The samples.
        """
        if not len(stamps):
            return
        stream = self._streams[number]
        kind = "<f4" if stream.format == "float32" else "<f8"
        rows = np.zeros(len(stamps), dtype=[("stamped", "u1"), ("stamp", "<f8"), ("values", kind, (stream.columns,))])
        rows["stamped"] = 8
        rows["stamp"] = stamps
        rows["values"] = values
        self._note(number, stream, len(stamps), float(stamps[0]), float(stamps[-1]))
        self._of(SAMPLES, number, _number(len(stamps)) + rows.tobytes())

    def marker(self, number: int, stamp: float, text: str) -> None:
        """Write one text into a stream of them, of one column."""
        raw = text.encode()
        self._note(number, self._streams[number], 1, stamp, stamp)
        self._of(SAMPLES, number, _number(1) + b"\x08" + struct.pack("<d", stamp) + _number(len(raw)) + raw)

    def close(self) -> None:
        """Write what ends each stream; the file is the caller's to close."""
        for number, stream in self._streams.items():
            if stream.count:
                self._offset(number, stream.last)
            footer = (
                f"<info><first_timestamp>{stream.first!r}</first_timestamp><last_timestamp>{stream.last!r}</last_timestamp>"
                f"<sample_count>{stream.count}</sample_count></info>"
            )
            self._of(STREAM_FOOTER, number, b'<?xml version="1.0"?>' + footer.encode())

    def _note(self, number: int, stream: _Stream, count: int, first: float, last: float) -> None:
        if not stream.count:
            stream.first = first
            self._offset(number, first)
        stream.count += count
        stream.last = last

    def _offset(self, number: int, stamp: float) -> None:
        self._of(CLOCK_OFFSET, number, struct.pack("<dd", stamp, 0.0))

    def _of(self, tag: int, number: int, content: bytes) -> None:
        self._chunk(tag, struct.pack("<I", number) + content)

    def _chunk(self, tag: int, content: bytes) -> None:
        self._file.write(_number(len(content) + 2) + struct.pack("<H", tag) + content)


def _number(value: int) -> bytes:
    """Write a length as XDF does: how many bytes it takes, then the bytes."""
    if value <= 0xFF:
        return struct.pack("<BB", 1, value)
    return struct.pack("<BI", 4, value) if value <= _SHORT else struct.pack("<BQ", 8, value)
