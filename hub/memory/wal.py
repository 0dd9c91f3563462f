"""SQLite's write-ahead log, looked at from outside.

When a log is read again after a kill, SQLite takes it up to the first frame whose checksum is wrong, and says nothing
of what follows: whoever alters one byte of it takes back every commit from there on. What follows can still be seen.

References
----------
.. [1] SQLite, "WAL-mode File Format", https://www.sqlite.org/walformat.html
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
_MASK: Final = 0xFFFFFFFF


def lost_commits(database: Path) -> int:
    """Count the commits in a database's log that SQLite passes over, because of what it finds before them.

    Only where no process writes it. A kill, or a power cut, in the middle of the last commit leaves one, which nobody
    has been told of.

    Parameters
    ----------
    database : Path
        The database; its log may be missing.

    Returns
    -------
    int
        Commits; at least 1 where the log's header is wrong.
    """
    try:
        log = database.with_name(f"{database.name}-wal").read_bytes()
    except FileNotFoundError:
        return 0
    if not log:
        return 0
    if len(log) < _HEADER.size:
        return 1
    magic, _, page, _, salt_1, salt_2, *told = _HEADER.unpack_from(log)
    order = _MAGIC.get(magic)
    if order is None or (sums := _sums(log[:24], order, (0, 0))) != tuple(told) or not 512 <= page <= 65_536:
        return 1
    size = _FRAME.size + page
    whole = True
    lost = 0
    for start in range(_HEADER.size, len(log) - size + 1, size):
        _, commit, one, two, *told = _FRAME.unpack_from(log, start)
        ours = (one, two) == (salt_1, salt_2)
        if whole:
            sums = _sums(log[start + 24 : start + size], order, _sums(log[start : start + 8], order, sums))
            fits = sums == tuple(told)  # one of an earlier use of the file fits nothing before it
            whole, ours = ours and fits, ours or fits
        if not whole and ours and commit:
            lost += 1
    return lost


def _sums(content: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    """Go on with the log's checksum: a pair of running sums over pairs of words."""
    one, two = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & _MASK
        two = (two + second + one) & _MASK
    return one, two
