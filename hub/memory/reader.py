"""Reading a memory, from the hub's process or another, while the hub goes on writing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from becomingone.errors import ConfigError
from becomingone.hub.memory.protocol import FRAME, Entry, Record, StreamKey
from becomingone.hub.memory.scan import UNREADABLE
from becomingone.hub.memory.schema import VERSION, check, connect_to_read, version

_STREAM: Final = "node, band, channel, boot"

PAGE: Final = 2_000
"""Rows that are read at once: between them nothing is held that the writer would have to write around."""


class MemoryReader:
    """Reads; see `protocol.Reading`.

    Parameters
    ----------
    path : Path
        The database.

    Raises
    ------
    ConfigError
        There is none, it is another program's or of another version, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._database = connect_to_read(path)
        except UNREADABLE as error:
            raise _unreadable(path, error) from error
        try:
            if 0 < (found := version(self._database)) < VERSION:
                msg = f"{path} is of version {found}: becomingone memory migrate makes it {VERSION}"
                raise ConfigError(msg)
            check(self._database, path)
        except UNREADABLE as error:
            self._database.close()
            raise _unreadable(path, error) from error
        except ConfigError:
            self._database.close()
            raise

    @property
    def identity(self) -> str:
        """Which memory it is, hex: drawn when it was made, and the same in its backups."""
        return bytes(self._all("SELECT id FROM root", ())[0][0]).hex()

    def entries(self, kind: str, start_us: int, end_us: int, *, limit: int | None = None) -> Iterator[Entry]:
        """See `Reading.entries`."""
        query = (
            "SELECT time_us, id, number, body FROM entries"
            " WHERE kind = ? AND (time_us, id) > (?, ?) AND time_us < ? ORDER BY time_us, id LIMIT ?"
        )
        left = limit
        at: tuple[int, int] = (start_us, -1)
        while left is None or left > 0:
            page = PAGE if left is None else min(PAGE, left)
            rows = self._all(query, (kind, *at, end_us, page))
            for time_us, _, number, body in rows:
                yield Entry(number, kind, time_us, json.loads(body))
            if len(rows) < page:
                return
            at = (rows[-1][0], rows[-1][1])
            left = None if left is None else left - len(rows)

    def frames(
        self,
        start_us: int,
        end_us: int,
        *,
        node: str | None = None,
        band: str | None = None,
        channel: str | None = None,
    ) -> Iterator[Record]:
        """See `Reading.frames`."""
        wanted = {"node": node, "band": band, "channel": channel}
        names = {name: value for name, value in wanted.items() if value is not None}
        which = "".join(f" AND {name} = ?" for name in names)
        query = (
            f"SELECT time_us, number, {_STREAM}, seq, frame FROM frames JOIN streams ON streams.id = stream"  # noqa: S608
            f" WHERE (time_us, number) > (?, ?) AND time_us < ?{which} ORDER BY time_us, number LIMIT {PAGE}"
        )
        at: tuple[int, int] = (start_us, -1)
        while True:
            rows = self._all(query, (*at, end_us, *names.values()))
            for time_us, _, *key, seq, frame in rows:
                yield Record(StreamKey(*key), seq, time_us, frame)
            if len(rows) < PAGE:
                return
            at = (rows[-1][0], rows[-1][1])

    def last(self, kind: str) -> Entry | None:
        """See `Reading.last`."""
        rows = self._all(
            "SELECT number, time_us, body FROM entries WHERE kind = ? ORDER BY number DESC LIMIT 1", (kind,)
        )
        return Entry(rows[0][0], kind, rows[0][1], json.loads(rows[0][2])) if rows else None

    def summary(self) -> dict[str, Any]:
        """See `Reading.summary`: by kind ``records``, ``from_us``, ``to_us``, ``gone`` and ``bytes``."""
        found: dict[str, Any] = {}
        for kind, first, size in self._all("SELECT kind, first, bytes FROM chains ORDER BY kind", ()):
            table, which, bound = ("frames", "", ()) if kind == FRAME else ("entries", "WHERE kind = ?", (kind,))
            ((last, count),) = self._all(f"SELECT max(number), count(*) FROM {table} {which}", bound)  # noqa: S608
            times = [
                self._all(f"SELECT {pick}(time_us) FROM {table} {which}", bound)[0][0]  # noqa: S608
                for pick in ("min", "max")
            ]
            found[kind] = {
                "records": count,
                "from_us": times[0],
                "to_us": times[1],
                "gone": first - 1,
                "last": last or first - 1,
                "bytes": size,
            }
        return found

    def close(self) -> None:
        """See `Reading.close`."""
        self._database.close()

    def _all(self, query: str, bound: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(query, bound).fetchall()
        except UNREADABLE as error:
            raise _unreadable(self._path, error) from error


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path} cannot be read: {error}; becomingone memory verify says more")
