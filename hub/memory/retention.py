"""What goes when room or time is up: always the oldest of a kind, in one piece, and a checkpoint says so."""

from __future__ import annotations

from typing import Final

from becomingone.hub.memory.ledger import Ledger
from becomingone.hub.memory.schema import used_bytes
from becomingone.hub.memory.section import MemorySection

PRUNE_RECORDS: Final = 1_000
"""Records that are given up at once, and"""

PRUNE_STEPS: Final = 10
"""how often in one commit, which must stay short."""

LOW: Final = 0.95
"""Of the room is in use when nothing more is given up."""

PIECES: Final = 50
"""A kind of which there is little goes in so many pieces: each costs a checkpoint."""

VACUUM_PAGES: Final = 256
"""Free pages that are given back to the file system in one commit, where there are many."""

_DAY_US: Final = 86_400_000_000


def make_room(ledger: Ledger, section: MemorySection, now_us: int, *, under_way: bool) -> bool:
    """Give up the oldest of the kind that takes the most room, until there is some.

    Parameters
    ----------
    ledger : Ledger
        Within a transaction.
    section : MemorySection
        The room.
    now_us : int
        For the checkpoint, µs.
    under_way : bool
        Whether this has begun in an earlier commit, and goes on until `LOW`.

    Returns
    -------
    bool
        Whether it has to go on with the next commit.
    """
    room = section.max_mb * 1e6
    used = used_bytes(ledger.database)
    if used <= (LOW * room if under_way else room):
        return False
    for _ in range(PRUNE_STEPS):
        kind = max(ledger.chains, key=lambda name: ledger.chains[name].size)
        chain = ledger.chains[kind]
        if chain.last <= chain.first:  # the last one of its kind stays: it says what the present state is
            break
        # Where records are large, fewer: no more may go than has to.
        each = max(1, chain.size // (chain.last - chain.first + 1))
        wanted = int((used - LOW * room) / each) + 1
        ledger.prune(kind, min(chain.first - 1 + max(1, min(PRUNE_RECORDS, wanted)), chain.last - 1))
        used = used_bytes(ledger.database)
        if used <= LOW * room:
            break
    ledger.checkpoint("pruned", now_us)
    return used > LOW * room


def expire(ledger: Ledger, section: MemorySection, now_us: int) -> bool:
    """Give up what has been kept for as long as it should be; tell whether there was any.

    The oldest go in pieces of `PRUNE_RECORDS`, or a fiftieth of a kind that has few, once the median of a piece's times
    is old enough: a few that are stamped with the future hold up nothing, and what came late goes with its neighbours.
    """
    pruned = False
    for kind in list(ledger.chains):
        days = section.keep_days.days(kind)
        if days is None:
            continue
        chain = ledger.chains[kind]
        for _ in range(PRUNE_STEPS):
            piece = min(PRUNE_RECORDS, (chain.last - chain.first + 1) // PIECES)
            if piece < 1 or ledger.median_time(kind, chain.first + piece - 1) > now_us - days * _DAY_US:
                break
            ledger.prune(kind, chain.first + piece - 1)
            pruned = True
    if pruned:
        ledger.checkpoint("pruned", now_us)
    return pruned


def shrink(ledger: Ledger, section: MemorySection) -> None:
    """Give free pages back to the file system, where they are more than pruning has just made; between transactions.

    What pruning frees is used again at once: to give it back and take it again would only wear the disk.
    """
    size, free = (
        int(ledger.database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_size", "freelist_count")
    )
    if free * size > 0.1 * section.max_mb * 1e6 and free > VACUUM_PAGES:
        ledger.database.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")  # execute() would free one page
