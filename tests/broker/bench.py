"""What the tests of the real link share: an event loop with links, a Mosquitto of their own, a server of their own."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import random
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from becomingone.broker.backoff import Backoff
from becomingone.broker.embedded import free_port
from becomingone.broker.link import Message, Will
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.scheduling import LoopScheduler

from .fabrics import mosquitto

LOCALHOST = "127.0.0.1"


class Bench:
    """An event loop and the links on it; use it as a context manager."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.scheduler = LoopScheduler(self.loop)
        self.failures: list[dict] = []
        self.links: list[PahoLink] = []
        self.servers: list[Server] = []
        self.loop.set_exception_handler(lambda _loop, context: self.failures.append(context))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_error) -> None:
        closed = []
        for link in self.links:
            link.close(lambda: closed.append(True))
        self.until(lambda: len(closed) == len(self.links) and not any(link._dialler._busy for link in self.links))
        for server in self.servers:
            server.close()
        for _ in range(3):  # asyncio closes a socket in a turn of its own
            self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def serve(self, serve) -> Server:
        made = Server(self, serve)
        self.servers.append(made)
        return made

    def link(
        self,
        client_id: str,
        url: str,
        *,
        will: Will | None = None,
        session_s: int = 0,
        backoff: Backoff | None = None,
        **settings,
    ) -> PahoLink:
        made = PahoLink(
            client_id,
            will,
            settings=BrokerSettings(url=url, **settings),
            scheduler=self.scheduler,
            backoff=backoff or Backoff(random.Random(client_id), base_s=0.01),
            session_s=session_s,
        )
        made.reasons = []
        made.on_down(made.reasons.append)
        self.links.append(made)
        return made

    def up(self, link: PahoLink, timeout_s: float = 10.0) -> PahoLink:
        link.start()
        assert self.until(lambda: link.connected, timeout_s), link.reasons
        return link

    def listener(self, client_id: str, url: str, *filters: str, qos: int = 1, **options):
        link = self.link(client_id, url, **options)
        heard: list[Message] = []
        for topic_filter in filters:
            link.subscribe(topic_filter, heard.append, qos=qos)
        return self.up(link), heard

    def until(self, condition: Callable[[], object], timeout_s: float = 10.0) -> bool:
        async def poll() -> bool:
            end = self.loop.time() + timeout_s
            while not condition() and self.loop.time() < end:
                await asyncio.sleep(0.002)
            return bool(condition())

        return self.loop.run_until_complete(poll())


class Mosquitto:
    """A Mosquitto of one's own, with a few lines of configuration; use it as a context manager."""

    def __init__(self, folder: Path, *lines: str, port: int | None = None, anonymous: bool = True) -> None:
        self.port = port or free_port(LOCALHOST)
        self._ports = [self.port, *(int(line.split()[1]) for line in lines if line.startswith("listener "))]
        self._folder = folder
        self._log = folder / f"mosquitto-{self.port}.log"
        self._path = folder / f"mosquitto-{self.port}.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self._path.write_text(
            f"user {getpass.getuser()}\nset_tcp_nodelay true\nallow_anonymous {str(anonymous).lower()}\n"
            f"log_type all\nconnection_messages true\nlistener {self.port} {LOCALHOST}\n" + "\n".join(lines) + "\n"
        )

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_error) -> None:
        self.kill()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self, timeout_s: float = 10.0) -> None:
        program = mosquitto()
        assert program is not None, "mosquitto is not installed: apt install mosquitto mosquitto-clients"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([program, "-c", self._path], stdout=log, stderr=log)
        for _ in range(int(timeout_s / 0.005)):
            if all(_listens(port) for port in self._ports):
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.005)
                break
        self.kill()
        raise AssertionError(f"mosquitto does not listen: {self.log}")

    def kill(self) -> None:
        """SIGKILL, and wait until it has gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOCALHOST, port)) == 0


class Server:
    """A TCP server on a bench's loop that treats each connection as a test says."""

    def __init__(self, bench: Bench, serve) -> None:
        self._bench = bench
        self._tasks: set[asyncio.Task] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.served = 0

        async def begin(reader, writer) -> None:
            self.served += 1
            self._tasks.add(asyncio.current_task())
            self._writers.add(writer)
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        self._server = bench.loop.run_until_complete(asyncio.start_server(begin, LOCALHOST, 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"mqtt://{LOCALHOST}:{self.port}"

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._bench.loop.run_until_complete(end())


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one MQTT packet: its first byte and what comes after its length."""
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return first, await reader.readexactly(length)
