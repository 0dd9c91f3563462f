"""What only a real link over TCP can show."""

import asyncio
import socket

import pytest

from becomingone.broker.embedded import EmbeddedBroker, free_port
from becomingone.errors import LinkError

from .fabrics import EmbeddedFabric


@pytest.fixture
def fabric():
    made = EmbeddedFabric()
    yield made
    made.close()


def test_a_handler_that_raises_stops_neither_the_link_nor_the_other_messages(fabric):
    link = fabric.link("fragile")
    heard = []

    def handler(message):
        heard.append(message.payload)
        if message.payload == b"poison":
            raise RuntimeError("a bug")

    link.subscribe("t", handler)
    link.start()
    assert fabric.until(lambda: link.connected)
    for payload in (b"one", b"poison", b"two"):
        link.publish("t", payload)
    assert fabric.until(lambda: len(heard) == 3)
    assert heard == [b"one", b"poison", b"two"]
    assert link.connected
    assert [type(context["exception"]) for context in fabric.failures] == [RuntimeError]


def test_a_refused_connection_is_told_with_its_address(fabric):
    fabric.crash()
    link = fabric.link("lonely")
    reasons = []
    link.on_down(reasons.append)
    link.start()
    assert fabric.until(lambda: len(reasons) >= 3)  # it goes on trying
    assert reasons[0] == f"127.0.0.1:{fabric.port}: Connection refused"
    link.close()
    fabric.restart()


def test_many_clients_at_once_are_all_served(fabric):
    """amqtt 0.12 by itself accepts some of a crowd and never serves them."""
    links = [fabric.link(f"client-{number}") for number in range(30)]
    heard = {link.client_id: [] for link in links}
    for link in links:
        link.subscribe(f"to/{link.client_id}", heard[link.client_id].append, qos=1)
        link.subscribe("to/all", heard[link.client_id].append, qos=1)
        link.start()
    assert fabric.until(lambda: all(link.connected for link in links), timeout_s=20)
    links[0].publish("to/all", b"!")
    assert fabric.until(lambda: all(heard.values()))
    for link in links:
        link.close()


def test_the_embedded_broker_keeps_to_loopback():
    with pytest.raises(LinkError, match="loopback only"):
        EmbeddedBroker("0.0.0.0")


def test_a_taken_port_is_one_clear_line():
    async def start_on_taken_port() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            await EmbeddedBroker(port=taken.getsockname()[1]).start()

    with pytest.raises(LinkError, match=r"port \d+ on 127.0.0.1 is in use: .*--port"):
        asyncio.run(start_on_taken_port())


def test_port_0_takes_a_free_one():
    async def start_and_stop() -> int:
        broker = EmbeddedBroker(port=0)
        await broker.start()
        await broker.stop()
        return broker.port

    assert asyncio.run(start_and_stop()) > 0
    assert free_port("127.0.0.1") > 0
