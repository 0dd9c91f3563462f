"""A Mosquitto of our own: its files made from our configuration, its process looked after."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Sequence
from typing import Final

from becomingone.broker.backoff import Backoff
from becomingone.broker.config import BrokerConfig
from becomingone.broker.mosquitto.child import STOP_S, MosquittoChild
from becomingone.broker.mosquitto.files import (
    check_certificates,
    own_user,
    private_folder,
    write_private,
    write_rules,
)
from becomingone.broker.mosquitto.log import BrokerLog
from becomingone.broker.mosquitto.program import Mosquitto
from becomingone.broker.mosquitto.render import Files, configuration
from becomingone.broker.ports import free_port, port_is_free
from becomingone.broker.sections import ListenerSection
from becomingone.errors import ConfigError, LinkError
from becomingone.scheduling import Clock

CAP_S: Final = 10.0
"""Seconds, at most, between two attempts to start it again."""

_TEST_S: Final = 10.0
_NO_SOCKETS: Final = "Unable to start any listening sockets"
"""What 2.0.11 says where there are only WebSocket listeners; 2.0.21 starts."""

_LOG: Final = logging.getLogger(__name__)


class ManagedMosquitto:
    """A broker for a configuration.

    Parameters
    ----------
    config : BrokerConfig
        What is wanted.
    mosquitto : Mosquitto
        The installed one.
    clock : Clock
        Paces its log and its restarts.
    rng : random.Random
        Spreads restarts.
    random_bytes : callable
        Gives unpredictable bytes, for the salts of passwords.
    on_event : callable
        Called with one line when it has ended by itself; by default a warning in the log.

    Attributes
    ----------
    listeners : tuple of ListenerSection
        Where it listens, each with the port in use.
    """

    def __init__(
        self,
        config: BrokerConfig,
        mosquitto: Mosquitto,
        *,
        clock: Clock,
        rng: random.Random,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        on_event: Callable[[str], None] = _LOG.warning,
    ) -> None:
        self.listeners = _with_ports(config.listeners)
        self._config: BrokerConfig = config.model_copy(update={"listeners": self.listeners})
        self._mosquitto = mosquitto
        self._random_bytes = random_bytes
        self._files = Files(config.folder.absolute())
        self._written: str | None = None
        self.log = BrokerLog(clock)
        self._child = MosquittoChild(
            [str(mosquitto.program.absolute()), "-c", str(self._files.configuration)],
            log=self.log,
            clock=clock,
            backoff=Backoff(rng, base_s=0.5, cap_s=CAP_S),
            on_death=on_event,
        )

    @property
    def pid(self) -> int | None:
        """The process's number, or None while it is down."""
        return self._child.pid

    @property
    def starts(self) -> int:
        """How often it has been started."""
        return self._child.starts

    async def start(self) -> None:
        """Write the files, have them tested where this Mosquitto can, start it, wait until it listens.

        Raises
        ------
        ConfigError
            A certificate, a key or the folder cannot be used.
        LinkError
            A port is taken, or Mosquitto refuses its configuration.
        """
        await self._write(self._config)
        for listener in self.listeners:
            if not port_is_free(listener.address, listener.port):
                msg = f"port {listener.port} on {listener.address} is in use: stop what listens there or choose another"
                raise LinkError(msg)
        try:
            await self._child.start()
        except LinkError as error:
            if _NO_SOCKETS in str(error) and all(listener.transport == "websockets" for listener in self.listeners):
                msg = "listeners: this version of Mosquitto needs one of plain MQTT beside WebSocket; add {port: 1883}"
                raise LinkError(msg) from error
            raise
        _LOG.info("%s listens on %s", self._mosquitto.name, ", ".join(listener.url for listener in self.listeners))

    async def stop(self, timeout_s: float = STOP_S) -> None:
        """End it, orderly if it can be within so many seconds."""
        await self._child.stop(timeout_s)

    async def reload(self, config: BrokerConfig) -> bool:
        """Take on a changed configuration.

        Rules, passwords and certificates are read anew by the running process, and every client stays connected;
        anything else takes a restart, after which the clients come back by themselves.

        Returns
        -------
        bool
            Whether it was restarted.

        Raises
        ------
        ConfigError
            The new one cannot be used; the old one stays in force.
        LinkError
            It could not be started anew.
        """
        if config.folder != self._config.folder:
            msg = "state_dir, cell: cannot be changed while the broker runs: stop it and start it anew"
            raise ConfigError(msg)
        listeners = _with_ports(config.listeners, before=self.listeners)
        before = self._written
        fresh = config.model_copy(update={"listeners": listeners})
        await self._write(fresh)
        self._config, self.listeners = fresh, listeners
        if self._written == before:
            self._child.hang_up()
            _LOG.info("rules, passwords and certificates are read anew")
            return False
        _LOG.warning("the broker is restarted, for what it reads only at the start has changed")
        await self._child.restart()
        return True

    async def _write(self, config: BrokerConfig) -> None:
        check_certificates(config)
        text = configuration(config, self._mosquitto, self._files, user=own_user())
        private_folder(self._files.folder)
        if self._mosquitto.is_2_1:
            await self._test(text)
        write_rules(config, self._files, self._random_bytes)
        write_private(self._files.configuration, text)
        self._written = text

    async def _test(self, text: str) -> None:
        """Have Mosquitto 2.1 test a configuration before anything depends on it."""
        trial = self._files.folder / "trial.conf"
        write_private(trial, text)
        process = await asyncio.create_subprocess_exec(
            str(self._mosquitto.program.absolute()), "--test-config", "-c", str(trial),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            said, _ = await asyncio.wait_for(process.communicate(), _TEST_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise LinkError(f"{self._mosquitto.name} did not test its configuration within {_TEST_S:g} s") from None
        finally:
            trial.unlink(missing_ok=True)
        if process.returncode:
            lines = [line.partition("Error: ")[2] for line in said.decode(errors="replace").splitlines()]
            why = "; ".join(filter(None, lines)) or f"exit code {process.returncode}"
            raise LinkError(f"{self._mosquitto.name} refuses its configuration: {why}")


def _with_ports(
    wanted: Sequence[ListenerSection], *, before: Sequence[ListenerSection] = ()
) -> tuple[ListenerSection, ...]:
    """Choose a free port wherever any will do; the one of before, where there was one."""
    old = [listener.port for listener in before]
    return tuple(
        listener
        if listener.port
        else listener.model_copy(update={"port": old[number] if number < len(old) else free_port(listener.address)})
        for number, listener in enumerate(wanted)
    )
