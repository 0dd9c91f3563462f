"""``becomingone node run`` that notes what it keeps, in a file: ``python -m tests.faults.noting_node FILE node run …``.

A line before the spool is told, a line once it has it: what stands in the first and not in the second was on its way
when the process was killed.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

from becomingone.broker.kept_store import Gone, Kept
from becomingone.cli import main
from becomingone.hub.memory.protocol import StreamKey
from becomingone.node.spool.spool import Spool

from .tally import digest


def note_into(path: str) -> None:
    """Have all that is kept in this process noted."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    append = Spool.append

    def noting(self: Spool, entry: Kept) -> list[Gone]:
        stream, boot = entry.stream
        os.write(file, f"makes {stream} {boot} {entry.seq} {digest(entry.payload).hex()}\n".encode())
        gone = append(self, entry)
        os.write(file, f"keeps {sum(one.count for one in gone)}\n".encode())
        return gone

    Spool.append = noting  # type: ignore[method-assign]


class Notes:
    """What a node has noted.

    Attributes
    ----------
    made : dict of StreamKey to list of bytes
        The digests of its frames.
    unsure : dict of StreamKey to int
        Of these the last ones that the spool has not said it has.
    gone : int
        Frames that had to make room.
    """

    def __init__(self, node: str, path: Path) -> None:
        self.made: dict[StreamKey, list[bytes]] = defaultdict(list)
        self.unsure: dict[StreamKey, int] = defaultdict(int)
        self.gone = 0
        asked: StreamKey | None = None
        for line in path.read_text("ascii").splitlines():
            word, *rest = line.split()
            if word == "makes":
                if asked is not None:
                    self.unsure[asked] += 1
                stream, boot, seq, found = rest
                asked = StreamKey(node, *stream.split("/"), int(boot))
                assert int(seq) == len(self.made[asked]), "the numbers of a life have a hole"
                self.made[asked].append(bytes.fromhex(found))
            else:
                asked = None
                self.gone += int(rest[0])
        if asked is not None:
            self.unsure[asked] += 1


if __name__ == "__main__":
    note_into(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
