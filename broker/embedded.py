"""The embedded broker: amqtt in this process, for the first run and for tests.

It listens on loopback only and has no access rules: a wrong password evicts the victim's session, retained
messages leak across rules, keepalive is not enforced (seen with 0.12). Liveness on it therefore rests on the hub's
own age timer, not on the will, and it refuses any other address. It has nothing to do with motors, whose commands
anybody on this machine could forge. Everything beyond that takes Mosquitto, and it says when it is outgrown.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from becomingone.broker.outgrown import OutgrownWatch
from becomingone.broker.ports import free_port, port_is_free
from becomingone.errors import FrameError, LinkError, MissingLibraryError
from becomingone.scheduling import LoopScheduler
from becomingone.wire.announce import About, parse_announcement

if TYPE_CHECKING:
    from becomingone.broker.loopback import LoopbackBroker

__all__ = ["STOP_S", "EmbeddedBroker", "free_port", "port_is_free"]

STOP_S: Final = 0.5
"""Seconds for an orderly end; amqtt once never came back from it (seen)."""

_LOG: Final = logging.getLogger(__name__)


class EmbeddedBroker:
    """An MQTT 3.1.1 broker on a loopback address.

    Parameters
    ----------
    host : str
        A loopback address.
    port : int
        0 for any free one.
    motors : sequence of str
        The motors, ``node/output``, of the mesh that is to run on it, as far as they are known: there may be none.
    tell : callable
        Called with a line when it is outgrown; by default a warning in the log.

    Attributes
    ----------
    broken : asyncio.Event
        Set when a node with a motor has announced itself: the broker has then stopped, which puts outputs to rest.

    Raises
    ------
    LinkError
        When the address is not loopback, or there is a motor.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 1883,
        *,
        motors: Sequence[str] = (),
        tell: Callable[[str], None] = _LOG.warning,
    ) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            msg = f"the embedded broker has no access rules and listens on loopback only, not on {host}: use Mosquitto"
            raise LinkError(msg)
        if motors:
            raise LinkError(_no_motor(", ".join(motors)))
        self.host = host
        self.port = port
        self.broken = asyncio.Event()
        self._tell = tell
        self._broker: LoopbackBroker | None = None
        self._watch: OutgrownWatch | None = None
        self._stopping: asyncio.Task[None] | None = None

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
        host = f"[{self.host}]" if ":" in self.host else self.host
        broker = LoopbackBroker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{host}:{self.port}", "max_connections": 0}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            },
            loop=loop,
        )
        broker.on_message = self._allows
        try:
            await broker.start()
        except Exception as error:
            msg = f"the embedded broker could not start on {self.host}:{self.port}: {error}"
            raise LinkError(msg) from error
        self._broker = broker
        self._watch = OutgrownWatch(lambda: broker.load, LoopScheduler(loop), self._tell)

    async def stop(self) -> None:
        """Stop listening and end every session."""
        if self._watch is not None:
            self._watch.cancel()
        if self._broker is not None:
            broker, self._broker = self._broker, None
            broker.close_listeners()
            try:
                await asyncio.wait_for(broker.shutdown(), STOP_S)
            except TimeoutError:  # its sessions have ended by then; it waits for a task of its own
                _LOG.warning("the embedded broker did not stop within %g s", STOP_S)
        if self._stopping is not None and self._stopping is not asyncio.current_task():
            await self._stopping

    def _allows(self, topic: str, payload: bytes) -> bool:
        """Stop for good when a node with a motor comes: nothing of what it is told could be trusted."""
        if not topic.endswith("/about") or b'"motor"' not in payload:
            return True
        try:
            about = parse_announcement(About, payload)
        except FrameError:
            return True  # the hub refuses and counts it
        motors = [f"{about.node}/{output.name}" for output in about.outputs if output.role == "motor"]
        if motors and not self.broken.is_set():
            _LOG.error("%s", _no_motor(", ".join(motors)))
            self.broken.set()
            self._stopping = asyncio.get_running_loop().create_task(self.stop())
        return not motors


def _no_motor(which: str) -> str:
    return (
        f"the embedded broker has no access rules, so anybody on this machine could drive the motor {which}: "
        "sudo apt install mosquitto, and use kind: mosquitto or up --broker-kind mosquitto"
    )


def _end_broken_session(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End the connection of a session that failed inside amqtt: a client of ours connects again.

    asyncio's own way is a traceback on standard error and a connection that stays open and is never served.
    """
    if context.get("message") != "Unhandled exception in client_connected_cb":
        loop.default_exception_handler(context)
        return
    _LOG.debug("a session failed inside the embedded broker", exc_info=context.get("exception"))
    context["transport"].abort()
