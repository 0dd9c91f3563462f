"""How a memory's database was after its last commit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Written:
    """How the database was after the last commit.

    Parameters
    ----------
    records, size : int
        Records in it, and bytes of its pages in use.
    checkpoint : int
        Number of the newest checkpoint, 0 where there is none.
    head : str
        Its hash, hex.
    commits, failures : int
        Commits of this life, and tries that failed.
    at_us : int
        When the last commit was done; 0: never.
    took_ms : float
        How long it took, ms.
    damaged : int
        Databases that were set aside in this life.
    saved, lost : int
        Records that were taken over from those, and of which it is known that they were not.
    fault : str
        What is wrong now; empty where nothing is.
    """

    records: int = 0
    size: int = 0
    checkpoint: int = 0
    head: str = ""
    commits: int = 0
    failures: int = 0
    at_us: int = 0
    took_ms: float = 0.0
    damaged: int = 0
    saved: int = 0
    lost: int = 0
    fault: str = ""
