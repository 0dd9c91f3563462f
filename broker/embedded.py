"""The embedded broker: amqtt in this process, for the first run and for tests.

It listens on loopback only and has no access rules: a wrong password evicts the victim's session, retained
messages leak across rules, keepalive is not enforced (seen with 0.12). Liveness on it therefore rests on the hub's
own age timer, not on the will, and it refuses any other address. Everything beyond one machine takes Mosquitto.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from typing import Any

from becomingone.errors import LinkError, MissingLibraryError

STOP_S = 0.5
"""Seconds for an orderly end; amqtt once never came back from it (seen)."""

_LOG = logging.getLogger(__name__)


class EmbeddedBroker:
    """An MQTT 3.1.1 broker on a loopback address.

    Parameters
    ----------
    host : str
        A loopback address.
    port : int
        0 for any free one.

    Raises
    ------
    LinkError
        When the address is not loopback.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 1883) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            msg = f"the embedded broker has no access rules and listens on loopback only, not on {host}: use Mosquitto"
            raise LinkError(msg)
        self.host = host
        self.port = port
        self._broker: Any = None

    async def start(self) -> None:
        """Listen; afterwards `port` is the port in use.

        Raises
        ------
        LinkError
            When the port is taken.
        MissingLibraryError
            When amqtt is not installed.
        """
        try:
            from becomingone.broker.loopback import LoopbackBroker  # noqa: PLC0415 - 0.2 s of imports
        except ImportError as error:
            msg = "the embedded broker needs amqtt: pip install 'becomingone[hub]'"
            raise MissingLibraryError(msg) from error
        if not port_is_free(self.host, self.port):
            msg = f"port {self.port} on {self.host} is in use: stop what listens there or choose another with --port"
            raise LinkError(msg)
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.port = self.port or free_port(self.host)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_end_broken_session)
        self._broker = LoopbackBroker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}", "max_connections": 0}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            },
            loop=loop,
        )
        try:
            await self._broker.start()
        except Exception as error:
            self._broker = None
            msg = f"the embedded broker could not start on {self.host}:{self.port}: {error}"
            raise LinkError(msg) from error

    async def stop(self) -> None:
        """Stop listening and end every session."""
        if self._broker is not None:
            broker, self._broker = self._broker, None
            try:
                await asyncio.wait_for(broker.shutdown(), STOP_S)
            except TimeoutError:  # its sockets are closed by then; it waits for a task of its own
                _LOG.warning("the embedded broker did not stop within %g s", STOP_S)


def _end_broken_session(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End the connection of a session that failed inside amqtt: a client of ours connects again.

    asyncio's own way is a traceback on standard error and a connection that stays open and is never served.
    """
    if context.get("message") != "Unhandled exception in client_connected_cb":
        loop.default_exception_handler(context)
        return
    _LOG.debug("a session failed inside the embedded broker", exc_info=context.get("exception"))
    context["transport"].abort()


def port_is_free(host: str, port: int) -> bool:
    """Tell whether a TCP port can be listened on just now; port 0 always can."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host: str) -> int:
    """Give a TCP port that nobody listens on just now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
