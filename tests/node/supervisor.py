"""A supervisor for tests: the socket that systemd would listen on, and what it was told."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

from becomingone.node.notify import Notifier


class Supervisor:
    """Listens on a datagram socket, by a path or by a name in the abstract namespace."""

    def __init__(self, folder: Path, *, abstract: bool = False) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        name = f"becomingone-test-{os.getpid()}-{id(self)}"
        self.address = f"@{name}" if abstract else str(folder / "notify")
        self._socket.bind(f"\0{name}" if abstract else self.address)
        self.heard: list[dict[str, str]] = []
        self._notifiers: list[Notifier] = []

    def notifier(self, **environ: str) -> Notifier:
        """Make one that speaks to this supervisor, and is closed with it."""
        self._notifiers.append(Notifier({"NOTIFY_SOCKET": self.address, **environ}))
        return self._notifiers[-1]

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        for notifier in self._notifiers:
            notifier.close()
        self._socket.close()

    def listen(self, timeout_s: float = 0.0) -> None:
        """Take what has been said."""
        while select.select([self._socket], [], [], timeout_s)[0]:
            timeout_s = 0.0
            lines = self._socket.recv(65_536).decode().split("\n")
            self.heard.append(dict(line.split("=", 1) for line in lines))

    def listen_for(self, seconds: float) -> None:
        """Take what is said in that time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.listen(left)

    def wait(self, condition: Callable[[dict[str, str]], object], timeout_s: float = 30.0) -> int:
        """Listen until a message meets a condition; give its place."""
        end = time.monotonic() + timeout_s
        seen = 0
        while True:
            while seen < len(self.heard):
                if condition(self.heard[seen]):
                    return seen
                seen += 1
            assert time.monotonic() < end, f"never told; heard {self.heard}"
            self.listen(0.1)

    @property
    def words(self) -> list[str]:
        """READY, WATCHDOG, ... in order; a status alone is left out."""
        known = ("READY", "WATCHDOG", "STOPPING", "RELOADING")
        return [word for message in self.heard for word in known if word in message]
