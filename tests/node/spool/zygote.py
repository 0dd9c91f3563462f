"""A process that has imported everything and forks a writer when asked: so that a thousand of them can be killed.

Standard input: a line of JSON for each writer. Standard output: a line ``P <pid>``, the writer's own lines, and a line
``E <status>`` when it has ended.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from becomingone.broker.backoff import Backoff
from becomingone.broker.kept_store import Kept
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.node.keeping import Keeping
from becomingone.node.pipeline import ChannelId
from becomingone.node.spool.spool import Spool
from becomingone.node.trust import Trust
from becomingone.scheduling import LoopScheduler, MeshClock
from becomingone.wire.frame import Flags, PhaseFrame
from becomingone.wire.topics import Topics

CHANNELS = (ChannelId("stride", "leg_x"), ChannelId("stride", "leg_y"), ChannelId("fast", "leg_x"))
TOPICS = Topics("becomingone", "home")
NODE = "kitchen"
KEY = bytes(range(32))


def say(line: str) -> None:
    """One write, so that a kill leaves whole lines."""
    os.write(1, f"{line}\n".encode())


def payload_of(name: str, boot: int, seq: int) -> bytes:
    """A content that tells whose it is."""
    rng = random.Random(f"{name} {boot} {seq}")
    return rng.randbytes(rng.choice((100, 100, 100, 20, 3_000)))


def frame_of(identity: ChannelId, boot: int, seq: int) -> PhaseFrame:
    """A frame that tells whose it is."""
    angle = (hash((boot, seq)) + CHANNELS.index(identity)) % 628 / 100
    return PhaseFrame(
        boot=boot, seq=seq, time_us=seq, phasors=np.array([np.exp(1j * angle)], np.complex64), coherence=0.5,
        n_eff=10.0, p=0.5, omega=1.0, omega_sigma=0.1, phase_sigma=0.1, clock_sigma_s=0.01, flags=Flags.VALID,
    )  # fmt: skip


def spool_of(order: dict[str, Any], scheduler: LoopScheduler) -> Spool:
    return Spool(
        Path(order["folder"]), max_bytes=order.get("max_bytes", 64_000_000), sync_frames=10, sync_s=0.05,
        scheduler=scheduler,
    )  # fmt: skip


def write(loop: asyncio.AbstractEventLoop, order: dict[str, Any]) -> None:
    """Append as fast as may be, and be done with some of it now and then."""
    scheduler = LoopScheduler(loop)
    spool = spool_of(order, scheduler)
    rng = random.Random(order["boot"])
    following = dict.fromkeys(("a", "b", "c"), 0)
    boot = order["boot"]

    def turn() -> None:
        for _ in range(rng.randrange(1, 30)):
            name = rng.choice(("a", "b", "c"))
            seq = following[name]
            following[name] += 1
            say(f"B {name} {boot} {seq}")
            spool.append(Kept((name, boot), seq, f"t/{name}", payload_of(name, boot, seq), scheduler.monotonic_ns()))
            say(f"A {name} {boot} {seq}")
        if rng.random() < 0.3:
            name, old = rng.choice(list(spool.streams()) or [("a", boot)])
            entry = spool.next((name, old), -1)
            if entry is not None:
                seq = entry.seq + rng.randrange(20)
                say(f"F {name} {old} {seq}")
                spool.forget((name, old), seq)
        loop.call_soon(turn)

    loop.call_soon(turn)
    loop.run_forever()


def send(loop: asyncio.AbstractEventLoop, order: dict[str, Any]) -> None:
    """Be a node that keeps what it measures; with ``frames`` 0, end when the hub has everything."""
    scheduler = LoopScheduler(loop)
    spool = spool_of(order, scheduler)
    boot = order["boot"]
    link = PahoLink(
        TOPICS.client_id("node", NODE),
        None,
        settings=BrokerSettings(url=order["url"]),
        scheduler=scheduler,
        backoff=Backoff(random.Random(boot), base_s=0.01, cap_s=0.2),
    )
    keeping = Keeping(
        NODE, link=link, topics=TOPICS, trust=Trust(KEY, boot), store=spool, scheduler=scheduler,
        clock=MeshClock(scheduler), boot=boot, late_per_s=20_000.0,
    )  # fmt: skip
    keeping.start()
    link.start()
    seqs = dict.fromkeys(CHANNELS, 0)

    def turn() -> None:
        for identity in CHANNELS:
            seq = seqs[identity]
            if seq < order["frames"]:
                seqs[identity] += 1
                keeping.keep(identity, frame_of(identity, boot, seq))
                say(f"A {identity.band}/{identity.channel} {boot} {seq}")
        if not order["frames"] and not len(spool):
            keeping.close()
            spool.close()
            link.close(loop.stop)
            return
        loop.call_later(0.002, turn)

    loop.call_soon(turn)
    loop.run_forever()


def end_with_the_parent() -> None:
    """Have the kernel kill this process when its parent ends, however that ends (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))


def main() -> None:
    end_with_the_parent()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            status = 1
            end_with_the_parent()
            say(f"P {os.getpid()}")
            try:
                {"write": write, "send": send}[order["do"]](asyncio.new_event_loop(), order)
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        say(f"E {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


class Zygote:
    """The process, from outside; use it as a context manager."""

    def __enter__(self) -> Zygote:
        command = [sys.executable, "-m", __spec__.name if __name__ == "__main__" else __name__]
        root = str(Path(__file__).parents[3])
        env = {**os.environ, "PYTHONPATH": f"{root}/src:{root}", "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(command, cwd=root, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_error) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()

    def begin(self, **order) -> int:
        """Begin a writer, and give its process id."""
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        letter, pid = self._process.stdout.readline().split()
        assert letter == b"P"
        return int(pid)

    def lines(self):
        """Give what the writer says, until it has ended; `status` is set then."""
        for line in self._process.stdout:
            words = line.decode().split()
            if words[0] == "E":
                self.status = int(words[1])
                return
            yield words
        raise AssertionError("the zygote has ended")


if __name__ == "__main__":
    main()
