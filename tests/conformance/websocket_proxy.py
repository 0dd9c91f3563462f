"""WebSocket in front of a broker that speaks plain TCP: Debian 12's Mosquitto has none itself."""

from __future__ import annotations

import asyncio
import contextlib

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

BACKLOG = 1 << 16


async def start(port: int, broker_port: int) -> Server:
    """Take connections on a port of loopback and hand them on to another."""

    async def handle(client: ServerConnection) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", broker_port)
        except OSError:
            return  # the client's connection is closed
        ways = [asyncio.create_task(_up(client, writer)), asyncio.create_task(_down(reader, client))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.close()  # before anything that whoever ends the loop may cancel
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    return await serve(
        handle,
        "127.0.0.1",
        port,
        subprotocols=[Subprotocol("mqtt")],
        compression=None,
        max_size=None,
        close_timeout=0.2,
    )


async def _up(client: ServerConnection, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionClosed, ConnectionError):
        async for message in client:
            assert isinstance(message, bytes), "MQTT travels in binary frames (6.0-1)"
            writer.write(message)
            await writer.drain()


async def _down(reader: asyncio.StreamReader, client: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed, ConnectionError):
        while data := await reader.read(BACKLOG):
            await client.send(data)
