"""Three brokers behind one face, so that one suite asks all of them the same questions."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import subprocess
from pathlib import Path

from becomingone.broker.backoff import Backoff
from becomingone.broker.embedded import EmbeddedBroker, free_port
from becomingone.broker.link import Link, Will
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.scheduling import LoopScheduler
from becomingone.sim.broker import SimBroker
from becomingone.sim.clock import VirtualScheduler


class SimFabric:
    """The simulated broker in virtual time."""

    takes_over = True
    routes_what_it_acknowledged = True

    def __init__(self) -> None:
        self.scheduler = VirtualScheduler()
        self.broker = SimBroker(self.scheduler, random.Random(1))

    def link(self, client_id: str, will: Will | None = None) -> Link:
        return self.broker.link(client_id, will)

    def until(self, condition, timeout_s: float = 5.0) -> bool:
        for _ in range(int(timeout_s * 1000)):
            if condition():
                return True
            self.scheduler.run_for(0.001)
        return bool(condition())

    def cut(self, link: Link) -> None:
        self.broker.cut(link.client_id)

    def crash(self) -> None:
        self.broker.crash()

    def restart(self) -> None:
        self.broker.restart()

    def close(self) -> None:
        pass


class RealFabric:
    """A real link on an event loop; the broker comes from a subclass."""

    takes_over = True
    routes_what_it_acknowledged = True

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.port = free_port("127.0.0.1")
        self.failures: list[dict] = []
        self.links: list[PahoLink] = []
        self.start_broker()
        self.loop.set_exception_handler(lambda _loop, context: self.failures.append(context))

    def link(self, client_id: str, will: Will | None = None, **settings) -> PahoLink:
        made = PahoLink(
            client_id,
            will,
            settings=BrokerSettings(url=f"mqtt://127.0.0.1:{self.port}", **settings),
            scheduler=LoopScheduler(self.loop),
            backoff=Backoff(random.Random(1)),
        )
        self.links.append(made)
        return made

    def until(self, condition, timeout_s: float = 10.0) -> bool:
        async def poll() -> bool:
            end = self.loop.time() + timeout_s
            while not condition() and self.loop.time() < end:
                await asyncio.sleep(0.002)
            return bool(condition())

        return self.loop.run_until_complete(poll())

    def cut(self, link: PahoLink) -> None:
        """End the TCP stream under the link, as a broken cable does."""
        assert link._socket is not None
        link._socket.shutdown(2)

    def start_broker(self) -> None:
        raise NotImplementedError

    def crash(self) -> None:
        raise NotImplementedError

    def restart(self) -> None:
        self.start_broker()

    def close(self) -> None:
        closed: list[bool] = []
        for link in self.links:
            link.close(lambda: closed.append(True))
        self.until(lambda: len(closed) == len(self.links))
        self.crash()
        self.loop.run_until_complete(self._drain())
        self.loop.close()

    async def _drain(self) -> None:
        """End what the broker has left behind on the loop: amqtt forgets a task or two."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


class EmbeddedFabric(RealFabric):
    takes_over = False  # amqtt 0.12 lets two clean sessions of one client id stand side by side
    routes_what_it_acknowledged = False  # amqtt 0.12 drops what it has not yet routed when the publisher leaves

    def start_broker(self) -> None:
        self.broker = EmbeddedBroker(port=self.port)
        self.loop.run_until_complete(self.broker.start())

    def crash(self) -> None:
        self.loop.run_until_complete(self.broker.stop())


class MosquittoFabric(RealFabric):
    process: subprocess.Popen[bytes]

    def start_broker(self) -> None:
        program = mosquitto()
        assert program is not None, "mosquitto is not installed: apt install mosquitto mosquitto-clients"
        self.process = subprocess.Popen(
            [program, "-p", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert self.until(self._answers), "mosquitto does not listen"

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def crash(self) -> None:
        self.process.kill()
        self.process.wait()


def mosquitto() -> str | None:
    """Debian puts it where ordinary users do not look."""
    return shutil.which("mosquitto") or next(
        (path for path in ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto") if Path(path).exists()), None
    )
