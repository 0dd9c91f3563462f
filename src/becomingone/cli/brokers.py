"""``broker run``: Mosquitto as a managed child, or the embedded broker where that is enough."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import signal
from collections.abc import Sequence
from typing import Final

from becomingone.broker.config import BrokerConfig
from becomingone.broker.embedded import EmbeddedBroker
from becomingone.broker.mosquitto.managed import ManagedMosquitto
from becomingone.broker.mosquitto.program import Mosquitto, find
from becomingone.broker.sections import ListenerSection
from becomingone.cli import process
from becomingone.cli.exits import Exit
from becomingone.config.loader import load
from becomingone.errors import ConfigError, MissingLibraryError
from becomingone.scheduling import SystemClock

PORT: Final = 1883

_LOG: Final = logging.getLogger(__name__)


def run_broker(arguments: argparse.Namespace) -> int:
    """Run a broker until it is told to stop."""
    config = _config(arguments)
    process.set_up_logging("DEBUG" if arguments.debug else config.logging.level)
    driven = _driven(arguments.scenario) if arguments.scenario is not None else []
    mosquitto = choose(config, driven)
    if mosquitto is None:
        return asyncio.run(_serve_embedded(config.listeners[0], driven, arguments))
    return asyncio.run(_serve_mosquitto(config, mosquitto, arguments))


def choose(config: BrokerConfig, driven: Sequence[str] = ()) -> Mosquitto | None:
    """Find the Mosquitto that a configuration takes; None where the embedded broker is enough.

    Parameters
    ----------
    config : BrokerConfig
        What is wanted.
    driven : sequence of str
        The motors of the mesh, as far as they are known.

    Raises
    ------
    MissingLibraryError
        It takes Mosquitto, and why, and that is not installed.
    """
    if config.kind == "embedded":
        return None
    reason = config.beyond_embedded or (f"{driven[0]} is a motor" if driven else None)
    if config.kind == "auto" and reason is None:
        return None
    try:
        return find(config.program)
    except MissingLibraryError as error:
        if reason is None:
            raise
        raise MissingLibraryError(f"this takes Mosquitto ({reason}). {error}") from error


def _driven(scenario: str) -> list[str]:
    from becomingone.cli.motors import motors  # noqa: PLC0415 - a broker alone needs no devices
    from becomingone.cli.scenario import load_scenario  # noqa: PLC0415

    return motors(load_scenario(scenario, overrides=(), environ={}).nodes)


def _config(arguments: argparse.Namespace) -> BrokerConfig:
    if arguments.config is None:
        if arguments.overrides:
            raise ConfigError("--set: changes a configuration, and none is named: becomingone config example broker")
        return BrokerConfig(listeners=(ListenerSection(port=PORT if arguments.port is None else arguments.port),))
    if arguments.port is not None:
        raise ConfigError("--port: the ports stand in the configuration; use --set listeners[0].port=N")
    return load(BrokerConfig, arguments.config, overrides=arguments.overrides, environ=os.environ)


async def _serve_embedded(listener: ListenerSection, driven: Sequence[str], arguments: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, _LOG.warning, "%s", "the embedded broker has nothing to read anew")
    stop = loop.create_task(process.stop_signal(loop, or_end_of_stdin=arguments.stop_with_stdin))
    broker = EmbeddedBroker(listener.address, listener.port, motors=driven)
    await broker.start()
    _announce([listener.model_copy(update={"port": broker.port})])
    broken = loop.create_task(broker.broken.wait())
    await asyncio.wait([stop, broken], return_when=asyncio.FIRST_COMPLETED)
    await broker.stop()
    return Exit.FAILED if broken.done() else Exit.DONE


async def _serve_mosquitto(config: BrokerConfig, mosquitto: Mosquitto, arguments: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    broker = ManagedMosquitto(config, mosquitto, clock=SystemClock(), rng=random.Random())  # noqa: S311 - paces restarts
    hung_up = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    stop = loop.create_task(process.stop_signal(loop, or_end_of_stdin=arguments.stop_with_stdin))
    await broker.start()
    try:
        _announce(broker.listeners)
        while not stop.done():
            waiting = loop.create_task(hung_up.wait())
            await asyncio.wait([stop, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if hung_up.is_set() and not stop.done():
                hung_up.clear()
                await _reload(broker, arguments)
    finally:
        stop.cancel()
        await broker.stop()
    return Exit.DONE


async def _reload(broker: ManagedMosquitto, arguments: argparse.Namespace) -> None:
    """Take on what stands in the configuration now; what is wrong with it is told, and the old one stays in force."""
    if arguments.config is None:
        _LOG.warning("there is no configuration to read anew")
        return
    try:
        config = _config(arguments)
        if choose(config) is None:
            raise ConfigError("kind: cannot become embedded while Mosquitto runs: stop it and start it anew")
        await broker.reload(config)
    except ConfigError as error:
        for line in str(error).splitlines():
            _LOG.error("not reloaded: %s", line)


def _announce(listeners: Sequence[ListenerSection]) -> None:
    for listener in listeners:
        print(f"broker: {listener.url}", flush=True)
