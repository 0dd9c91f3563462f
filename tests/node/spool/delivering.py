"""A node and a broker that are killed over and over while the hub commits what comes."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path

from tests.broker.bench import LOCALHOST, Mosquitto

from becomingone.broker.backoff import Backoff
from becomingone.broker.embedded import free_port
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.scheduling import LoopScheduler

from .stand_in_hub import StandInHub
from .zygote import KEY, NODE, TOPICS, Zygote


class Delivery:
    """A hub on an event loop of its own, and a node that is begun again and again in another process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self.scheduler = LoopScheduler(self.loop)
        self.broker = Mosquitto(folder, port=free_port(LOCALHOST))
        self.url = f"mqtt://{LOCALHOST}:{self.broker.port}"
        self.accepted: set[tuple[str, int, int]] = set()
        self.ended: list[int] = []

    def run(self, kills: int, broker_kills: int, *, frames: int = 400, seed: int = 1) -> dict[str, int]:
        """Kill the node and the broker so many times, let the last node send the rest, and count."""
        rng = random.Random(seed)
        with self.broker, Zygote() as zygote:
            link = PahoLink(
                TOPICS.client_id("hub"),
                None,
                settings=BrokerSettings(url=self.url),
                scheduler=self.scheduler,
                backoff=Backoff(random.Random(seed), base_s=0.01, cap_s=0.2),
            )
            hub = StandInHub(link, TOPICS, NODE, KEY, self.folder / "memory.db", self.scheduler)
            link.start()
            breaks = set(rng.sample(range(1, kills + 1), broker_kills))
            try:
                for boot in range(1, kills + 1):
                    self._node(zygote, boot, frames, (rng.randrange(200), rng.uniform(0.0, 0.02)), boot in breaks)
                before_the_last = len(self.accepted - hub.rows())
                self._node(zygote, kills + 1, 0, None, False)
                self._wait(lambda: not hub.waiting)
                rows = hub.rows()
                return {
                    "kills": kills,
                    "broker_kills": broker_kills,
                    "accepted": len(self.accepted),
                    "waiting_at_the_last_kill": before_the_last,
                    "lost": len(self.accepted - rows),
                    "twice": hub.count() - len(rows),
                    "duplicates_dropped": hub.receiver.duplicates,
                    "early_dropped": hub.receiver.early,
                    "said_to_be_lost": hub.receiver.lost,
                    "refused": hub.refused.total(),
                    "historical": Counter(hub.flags)[True],
                    "last_exit": self.ended[-1],
                }
            finally:
                hub.close()
                link.close(lambda: None)
                self._wait(lambda: not link.connected)
                self.loop.run_until_complete(asyncio.sleep(0))

    def _node(
        self, zygote: Zygote, boot: int, frames: int, after: tuple[int, float] | None, break_broker: bool
    ) -> None:
        """Begin a node; kill it so many frames and seconds later, or wait until it has delivered everything."""
        enough = len(self.accepted) + (after[0] if after is not None else 0)
        pid = zygote.begin(do="send", folder=str(self.folder / "spool"), boot=boot, url=self.url, frames=frames)
        over = threading.Event()

        def listen() -> None:
            for letter, name, life, seq in zygote.lines():
                assert letter == "A"
                self.accepted.add((name, int(life), int(seq)))
            over.set()

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            if after is None:
                self._wait(over.is_set, 60.0)
            else:
                self._wait(lambda: over.is_set() or len(self.accepted) >= enough)
                end = self.loop.time() + after[1]
                self._wait(lambda: self.loop.time() > end)
                if break_broker:
                    self.broker.kill()
                    self.broker.start()
        finally:
            if not over.is_set():
                os.kill(pid, signal.SIGKILL)
            self._wait(over.is_set)
            thread.join()
        self.ended.append(zygote.status)

    def _wait(self, condition, timeout_s: float = 20.0) -> None:
        async def poll() -> None:
            end = self.loop.time() + timeout_s
            while not condition():
                assert self.loop.time() < end, "it takes too long"
                await asyncio.sleep(0.002)

        self.loop.run_until_complete(poll())


def deliver(folder: Path, kills: int, broker_kills: int, *, seed: int = 1) -> dict[str, int]:
    """See `Delivery.run`."""
    delivery = Delivery(folder)
    try:
        return delivery.run(kills, broker_kills, seed=seed)
    finally:
        delivery.loop.close()
