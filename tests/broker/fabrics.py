"""Three brokers behind one face, so that one suite asks all of them the same questions."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from unittest import mock

from becomingone.broker.backoff import Backoff
from becomingone.broker.embedded import EmbeddedBroker, free_port
from becomingone.broker.link import Link, Will
from becomingone.broker.loopback import LoopbackBroker
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.scheduling import LoopScheduler
from becomingone.sim.broker import SimBroker
from becomingone.sim.clock import VirtualScheduler


class SimFabric:
    """The simulated broker in virtual time."""

    def __init__(self, **options) -> None:
        self.scheduler = VirtualScheduler()
        self.broker = SimBroker(self.scheduler, random.Random(1), **options)

    def link(self, client_id: str, will: Will | None = None, **options) -> Link:
        return self.broker.link(client_id, will, **options)

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

    settings: Mapping[str, object] = MappingProxyType({})
    scheme = "mqtt"

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.port = free_port("127.0.0.1")
        self.failures: list[dict] = []
        self.links: list[PahoLink] = []
        self.loop.set_exception_handler(lambda _loop, context: self.failures.append(context))
        self.start_broker()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def link(self, client_id: str, will: Will | None = None, *, session_s: int = 0, **settings) -> PahoLink:
        made = PahoLink(
            client_id,
            will,
            session_s=session_s,
            settings=BrokerSettings.model_validate({"url": self.url, **self.settings, **settings}),
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
        assert link._connection is not None
        with socket.socket(fileno=os.dup(link._connection.transport.fileno())) as stream:  # also below TLS
            stream.shutdown(socket.SHUT_RDWR)

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
    """The embedded broker, on this thread; the streams that it forgets are ended for it."""

    def link(self, client_id: str, will: Will | None = None, **options) -> PahoLink:
        return super().link(client_id, will, **{"protocol": "3.1.1", **options})  # it leaves others unanswered

    def start_broker(self) -> None:
        streams: list[asyncio.WriteTransport] = []
        original = LoopbackBroker.stream_connected

        async def connected(broker, reader, writer, listener_name):
            streams.append(writer.transport)
            await original(broker, reader, writer, listener_name)

        self._streams = streams
        self.broker = EmbeddedBroker(port=self.port)
        with mock.patch.object(LoopbackBroker, "stream_connected", connected):
            self.loop.run_until_complete(self.broker.start())
        theirs = self.loop.get_exception_handler()
        assert theirs is not None, "the broker takes care of the sessions that fail inside it"

        def handle(loop: asyncio.AbstractEventLoop, context: dict) -> None:
            if context["message"] == "Unhandled exception in client_connected_cb":
                theirs(loop, context)
            elif context["message"] != "Task was destroyed but it is pending!":  # amqtt forgets some
                self.failures.append(context)

        self.loop.set_exception_handler(handle)

    def crash(self) -> None:
        """Stop, and end all streams, as happens when the process ends that it lives in."""
        self.loop.run_until_complete(self.broker.stop())
        for stream in self._streams:
            stream.abort()


class MosquittoFabric(RealFabric):
    process: subprocess.Popen[bytes]

    def start_broker(self) -> None:
        program = mosquitto()
        assert program is not None, "mosquitto is not installed: apt install mosquitto mosquitto-clients"
        self.process = subprocess.Popen(
            [program, "-p", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if not self.until(lambda: answers(self.port)):
            self.crash()
            raise AssertionError("mosquitto does not listen")

    def crash(self) -> None:
        self.process.kill()
        self.process.wait()


def answers(port: int) -> bool:
    """Whether a port of this machine can be connected to."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def mosquitto() -> str | None:
    """Debian puts it where ordinary users do not look."""
    return shutil.which("mosquitto") or next(
        (path for path in ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto") if Path(path).exists()), None
    )
