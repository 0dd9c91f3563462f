"""An Ethernet cable in user space, between this machine and a network namespace: it loses and delays what it likes."""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from pathlib import Path

from .means import need, need_root, run
from .outcome import NotRunError

HERE, THERE = "10.79.47.1", "10.79.47.2"
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def _tap(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return device


class Wire:
    """Two TAP devices and a thread that carries frames from one to the other; use it as a context manager.

    Attributes
    ----------
    loss : float
        Probability that a frame is lost, either way; 1.0 cuts the wire, and nobody is told.
    delay_s : tuple of float
        Least and most time that a frame takes.
    """

    def __init__(self, seed: int = 1) -> None:
        need_root("to make network devices")
        need("ip")
        if not Path("/dev/net/tun").exists():
            raise NotRunError("there is no /dev/net/tun")
        self.loss = 0.0
        self.delay_s = (0.0, 0.0)
        self.carried = self.lost = 0
        self.namespace = f"faults{os.getpid() % 100_000}"
        self._rng = random.Random(seed)
        self._ends: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Wire:
        try:
            run("ip", "netns", "add", self.namespace)
            near, far = f"fn{os.getpid() % 100_000}", f"ff{os.getpid() % 100_000}"
            self._ends = [_tap(near), _tap(far)]
            run("ip", "link", "set", far, "netns", self.namespace)
            run("ip", "-n", self.namespace, "addr", "add", f"{THERE}/24", "dev", far)
            run("ip", "-n", self.namespace, "link", "set", far, "up")
            run("ip", "-n", self.namespace, "link", "set", "lo", "up")
            run("ip", "addr", "add", f"{HERE}/24", "dev", near)
            run("ip", "link", "set", near, "up")
        except (OSError, subprocess.CalledProcessError) as error:
            self._close()
            raise NotRunError(f"no network namespace can be made here: {error}") from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10.0)
        self._close()

    def _close(self) -> None:
        for end in self._ends:
            os.close(end)
        subprocess.run(["ip", "netns", "del", self.namespace], check=False, capture_output=True)

    def _run(self) -> None:
        under_way: list[tuple[float, int, int, bytes]] = []
        free = [0.0, 0.0]  # frames do not overtake each other
        while not self._over.is_set():
            wait_s = min(0.1, max(0.0, under_way[0][0] - time.monotonic())) if under_way else 0.1
            for end in select.select(self._ends, [], [], wait_s)[0]:
                frame = os.read(end, 65_536)
                if self._rng.random() < self.loss:
                    self.lost += 1
                    continue
                to = 1 - self._ends.index(end)
                free[to] = max(free[to], time.monotonic() + self._rng.uniform(*self.delay_s))
                self.carried += 1
                heapq.heappush(under_way, (free[to], self.carried, to, frame))
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, to, frame = heapq.heappop(under_way)
                try:
                    os.write(self._ends[to], frame)
                except OSError:  # its queue is full, or it is not up yet: lost, as on any wire
                    self.lost += 1
