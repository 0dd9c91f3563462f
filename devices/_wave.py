"""Reads a WAV file by stretches: PCM of 8, 16, 24 or 32 bit, or float of 32 or 64 bit, never the whole of it.

The format is RIFF as in "Multimedia Programming Interface and Data Specifications 1.0" (IBM and Microsoft, 1991) with
WAVE_FORMAT_EXTENSIBLE. The standard library's ``wave`` reads no floats, and extensible files only from 3.12 on.
"""

from __future__ import annotations

import importlib.resources
import struct
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from becomingone.devices._table import PACKAGED
from becomingone.errors import DeviceError, DeviceUnavailableError

MOST_CHANNELS: Final = 64
_DATA = "becomingone.data"
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the two bytes of the format in the sub-format of an extensible file."""


class WaveFile:
    """An open WAV file.

    Parameters
    ----------
    source : str
        A path, or ``package:FOLDER/FILE``.

    Attributes
    ----------
    rate_hz : int
        Samples a second.
    n_channels : int
        1 to `MOST_CHANNELS`.
    length : int
        Samples in each channel, at least 1.

    Raises
    ------
    DeviceError
        It is no WAV file of these formats; names file and place.
    DeviceUnavailableError
        There is no such file, or it cannot be read now.
    """

    def __init__(self, source: str) -> None:
        self.rate_hz = 0
        self.n_channels = 0
        self._source = source
        self._format = 0
        self._bytes = 0
        packaged = source.startswith(PACKAGED)
        place = importlib.resources.files(_DATA) / source.removeprefix(PACKAGED) if packaged else Path(source)
        try:
            self._file: IO[bytes] = place.open("rb")
        except OSError as error:
            raise self._unavailable(error) from error
        try:
            self._start, size = self._find_data()
        except OSError as error:
            self._file.close()
            raise self._unavailable(error) from error
        except DeviceError:
            self._file.close()
            raise
        self._frame = self.n_channels * self._bytes
        self.length = size // self._frame

    def read(self, first: int, stop: int) -> NDArray[np.float64]:
        """Give samples `first` to `stop` (not included), shape (n_channels, n_samples), full scale being 1.

        What is not a finite number in a file of floats is NaN.

        Raises
        ------
        DeviceUnavailableError
            They can no longer be read.
        """
        try:
            self._file.seek(self._start + first * self._frame)
            raw = self._file.read((stop - first) * self._frame)
        except (OSError, ValueError) as error:  # ValueError: it was closed
            raise self._unavailable(error) from error
        if len(raw) < (stop - first) * self._frame:
            msg = f"the recording {self._source} has become shorter while it was replayed"
            raise DeviceUnavailableError(msg)
        return self._numbers(raw).reshape(-1, self.n_channels).T

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _numbers(self, raw: bytes) -> NDArray[np.float64]:
        if self._format == _FLOAT:
            numbers = np.frombuffer(raw, f"<f{self._bytes}").astype(np.float64)
            numbers[~np.isfinite(numbers)] = np.nan
            return numbers
        if self._bytes == 1:  # the one format without a sign
            return (np.frombuffer(raw, np.uint8).astype(np.float64) - 128.0) / 128.0
        if self._bytes == 3:
            wide = np.zeros((len(raw) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
            return wide.view("<i4")[:, 0].astype(np.float64) / 2.0**31
        return np.frombuffer(raw, f"<i{self._bytes}").astype(np.float64) / 2.0 ** (8 * self._bytes - 1)

    # -- the header ------------------------------------------------------------------------------------------------

    def _find_data(self) -> tuple[int, int]:
        """Give where the samples begin, and how many bytes they are; read the format on the way."""
        head = self._file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            what = "an RF64 file, which is not read" if head[:4] == b"RF64" else "not a WAV file"
            raise self._wrong(0, f"it is {what}: it begins with {head[:12]!r}")
        place = 12
        while True:
            self._file.seek(place)
            chunk = self._file.read(8)
            if len(chunk) < 8:
                raise self._wrong(place, f"it ends without a {'data' if self._frame_known else 'fmt'} chunk")
            name, size = struct.unpack("<4sI", chunk)
            if name == b"fmt ":
                self._read_format(place, self._file.read(min(size, 40)))
            elif name == b"data":
                return place + 8, self._checked(place, size)
            place += 8 + size + size % 2  # chunks begin at even places

    @property
    def _frame_known(self) -> bool:
        return self.n_channels > 0

    def _read_format(self, place: int, body: bytes) -> None:
        if len(body) < 16:
            raise self._wrong(place, f"its fmt chunk has {len(body)} bytes, fewer than 16")
        kind, channels, rate_hz, _, frame, bits = struct.unpack("<HHIIHH", body[:16])
        if kind == _EXTENSIBLE:
            if len(body) < 40 or body[26:40] != _GUID_TAIL:
                raise self._wrong(place, "it is extensible, with a sub-format that is neither PCM nor float")
            kind = struct.unpack("<H", body[24:26])[0]
        allowed = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}.get(kind)
        if allowed is None:
            raise self._wrong(place, f"its format is {kind}, neither PCM (1) nor float (3): convert it")
        if bits not in allowed:
            raise self._wrong(place, f"it has {bits} bits a sample, not {', '.join(map(str, allowed))}")
        if not 1 <= channels <= MOST_CHANNELS:
            raise self._wrong(place, f"it has {channels} channels, not 1..{MOST_CHANNELS}")
        if not rate_hz:
            raise self._wrong(place, "it has 0 samples a second")
        if frame != channels * bits // 8:
            raise self._wrong(place, f"{channels} channels of {bits} bits make no blocks of {frame} bytes")
        self._format, self.n_channels, self.rate_hz, self._bytes = kind, channels, rate_hz, bits // 8

    def _checked(self, place: int, size: int) -> int:
        """Give the size of the data chunk, which must be there, whole, and come after the format."""
        if not self._frame_known:
            raise self._wrong(place, "its data come before the fmt chunk")
        there = self._file.seek(0, 2) - place - 8
        if size > there:
            raise self._wrong(place, f"it is cut short: {size} bytes of samples are announced, {there} are there")
        if size < self.n_channels * self._bytes:
            raise self._wrong(place, "it has no samples")
        return size

    def _wrong(self, place: int, what: str) -> DeviceError:
        return DeviceError(f"{self._source}, byte {place}: {what}")

    def _unavailable(self, error: Exception) -> DeviceUnavailableError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        return DeviceUnavailableError(f"the recording {self._source} cannot be opened: {reason}")
