"""Taking connections in: what the machine refuses, and what comes while the server ends."""

import asyncio
import errno
import socket
import ssl

import pytest

from becomingone.provisioning.join.connections import Connections, Limits

LIMITS = Limits(pause_s=0.01)


class Listener(socket.socket):
    """A listener whose first `accept` fails."""

    error = 0

    def accept(self):
        if self.error:
            number, self.error = self.error, 0
            raise OSError(number, "made up")
        return super().accept()


@pytest.fixture
def listener():
    with Listener(socket.AF_INET, socket.SOCK_STREAM) as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made


def make(limits=LIMITS):
    return Connections(asyncio.Protocol, lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), limits)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def connect(listener):
    return socket.create_connection(listener.getsockname(), 5)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.ECONNABORTED, errno.ENETDOWN, errno.EAGAIN])
def test_a_connection_that_cannot_be_taken_in_is_tried_again(listener, number, caplog):
    listener.error = number

    async def serve():
        connections = make()
        task = asyncio.create_task(connections.serve(listener))
        with connect(listener):
            await until(lambda: len(connections) == 1)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return len(connections)

    assert asyncio.run(serve()) == 0
    assert ("no connection can be taken in: made up" in caplog.text) == (number in {errno.EMFILE, errno.ENOMEM})


def test_a_listener_that_is_broken_ends_the_server(listener):
    listener.error = errno.EBADF

    async def serve():
        with connect(listener):
            await asyncio.wait_for(make().serve(listener), 10)

    with pytest.raises(OSError, match="made up"):
        asyncio.run(serve())


@pytest.mark.parametrize("error", [0, errno.EBADF, errno.EMFILE])
@pytest.mark.parametrize("turns", range(6))
def test_who_comes_while_the_server_ends_is_hung_up_on(listener, turns, error):
    """The connection waits at the door in the turn of the loop in which the server is cancelled, and before."""
    failures = []

    async def serve():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        connections = make()
        task = loop.create_task(connections.serve(listener))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with connect(listener) as client:
            listener.error = error
            for _ in range(turns):
                await asyncio.sleep(0)
            loop.call_soon(task.cancel)
            with pytest.raises((asyncio.CancelledError, OSError)):
                await task
            with client:
                try:
                    assert client.recv(1) == b""
                except ConnectionResetError:
                    return len(connections)
        return len(connections)

    assert asyncio.run(serve()) == 0
    assert not failures
