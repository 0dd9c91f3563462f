"""What is sent through a broker to measure it; each function takes the broker's port on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from becomingone.bench.broker_hosts import HOST
from becomingone.broker.backoff import Backoff
from becomingone.broker.link import Handler, Message, Qos
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.errors import LinkError
from becomingone.scheduling import LoopScheduler

PAYLOAD: Final = b"x" * 60
"""About as long as a phase frame of one sample."""

WINDOW: Final = 100
"""Messages of our link that are under way at once."""

TIMEOUT_S: Final = 30.0
_TOPIC: Final = "becomingone/bench"


@dataclass(frozen=True, slots=True)
class Clients:
    """The paths of ``mosquitto_pub`` and ``mosquitto_sub``."""

    pub: str
    sub: str


def c_rate(clients: Clients, port: int, qos: Qos, count: int) -> float:
    """Messages a second from one C client to another, from the publisher's start to the last message's arrival.

    Raises
    ------
    LinkError
        When a message does not arrive.
    """
    where = ["-h", HOST, "-p", str(port), "-t", _TOPIC]
    subprocess.run([clients.pub, *where, "-q", "1", "-r", "-m", "ready"], check=True, timeout=TIMEOUT_S)  # noqa: S603
    listen = [clients.sub, *where, "-q", str(qos), "-F", ".", "-C", str(count + 1), "-W", f"{TIMEOUT_S:.0f}"]
    speak = [clients.pub, *where, "-q", str(qos), "-m", PAYLOAD.decode(), "--repeat", str(count)]
    with subprocess.Popen(listen, stdout=subprocess.PIPE) as listener:  # noqa: S603
        try:
            if listener.stdout is not None:
                listener.stdout.read(2)  # the retained message: the subscription is in force
            start = time.perf_counter()
            subprocess.run(speak, check=True, timeout=TIMEOUT_S)  # noqa: S603
            listener.communicate(timeout=TIMEOUT_S)
            taken_s = time.perf_counter() - start
        except subprocess.SubprocessError as error:
            msg = f"the C clients did not get {count} messages through: {error}"
            raise LinkError(msg) from error
        finally:
            listener.kill()
    if listener.returncode:
        msg = f"not all of {count} messages of QoS {qos} arrived at mosquitto_sub within {TIMEOUT_S:g} s"
        raise LinkError(msg)
    return count / taken_s


async def link_rate(port: int, qos: Qos, count: int) -> float:
    """Messages a second from one of our links to another, `WINDOW` under way at once."""
    scheduler = LoopScheduler(asyncio.get_running_loop())
    arrived = 0
    sent = 0
    done = asyncio.Event()
    async with link(port, "speaker", scheduler) as speaker:

        def fill() -> None:
            nonlocal sent
            while sent < count and sent - arrived < WINDOW and speaker.publish(_TOPIC + "/rate", PAYLOAD, qos=qos):
                sent += 1

        def count_one(_message: Message) -> None:
            nonlocal arrived
            arrived += 1
            if arrived == count:
                done.set()
            elif sent - arrived <= WINDOW // 2:
                fill()

        async with link(port, "listener", scheduler, (_TOPIC + "/rate", qos, count_one)):
            start = time.perf_counter()
            fill()
            await done.wait()
            return count / (time.perf_counter() - start)


async def round_trips(port: int, count: int) -> list[float]:
    """Seconds of each round trip of a message of QoS 0 between two of our links, twice through the broker."""
    scheduler = LoopScheduler(asyncio.get_running_loop())
    taken: list[float] = []
    done = asyncio.Event()
    ping, pong = _TOPIC + "/ping", _TOPIC + "/pong"
    async with link(port, "answerer", scheduler) as answerer:
        answerer.subscribe(ping, lambda message: _sent(answerer.publish(pong, message.payload)))
        since = 0.0

        def asked(_message: Message) -> None:
            taken.append(time.perf_counter() - since)
            if len(taken) == count:
                done.set()
            else:
                ask()

        def ask() -> None:
            nonlocal since
            since = time.perf_counter()
            _sent(asker.publish(ping, PAYLOAD))

        async with link(port, "asker", scheduler, (pong, 0, asked)) as asker:
            ask()
            await done.wait()
    return taken


async def connect_times(port: int, count: int) -> list[float]:
    """Seconds that each connection of our link took, one after the other: TCP, CONNECT and one SUBSCRIBE."""
    scheduler = LoopScheduler(asyncio.get_running_loop())
    taken: list[float] = []
    for number in range(count):
        start = time.perf_counter()
        async with link(port, f"client{number}", scheduler, (_TOPIC + "/none", 0, lambda _message: None)):
            taken.append(time.perf_counter() - start)
    return taken


@contextlib.asynccontextmanager
async def link(
    port: int, client_id: str, scheduler: LoopScheduler, subscription: tuple[str, Qos, Handler] | None = None
) -> AsyncGenerator[PahoLink]:
    """Connect a link of ours, with one subscription or none."""
    settings = BrokerSettings(url=f"mqtt://{HOST}:{port}", protocol="3.1.1")  # all that the embedded broker speaks
    backoff = Backoff(random.Random(1))  # noqa: S311 - paces reconnections, guards nothing
    made = PahoLink(client_id, None, settings=settings, scheduler=scheduler, backoff=backoff)
    if subscription is not None:
        topic_filter, qos, handler = subscription
        made.subscribe(topic_filter, handler, qos=qos)
    up, closed = asyncio.Event(), asyncio.Event()
    made.on_up(up.set)
    made.start()
    try:
        await up.wait()
        yield made
    finally:
        made.close(closed.set)
        await closed.wait()


def _sent(taken: bool) -> None:
    if not taken:
        msg = "the link does not take a message though it is up"
        raise LinkError(msg)
