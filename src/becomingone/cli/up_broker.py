"""The broker of a mesh that ``becomingone up`` starts: embedded, or a Mosquitto of its own."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from becomingone.broker.config import BrokerConfig, Kind
from becomingone.broker.embedded import EmbeddedBroker
from becomingone.broker.mosquitto.managed import ManagedMosquitto
from becomingone.broker.ports import free_port, port_is_free
from becomingone.broker.sections import ListenerSection, PersistenceSection
from becomingone.broker.settings import BrokerSettings
from becomingone.cli.brokers import choose
from becomingone.cli.motors import motors
from becomingone.cli.scenario import Scenario
from becomingone.scheduling import SystemClock

HOST: Final = "127.0.0.1"
STOP_S: Final = 1.0
"""Seconds for the broker's orderly end, the last of all."""


@dataclass(frozen=True, slots=True)
class Started:
    """A broker that runs.

    Parameters
    ----------
    settings : BrokerSettings
        How to reach it.
    note : str
        What there is to say about it, beside its URL.
    broken : asyncio.Event
        Set when it has ended for good, because something came that it cannot be trusted with.
    """

    settings: BrokerSettings
    note: str
    broken: asyncio.Event


@contextlib.asynccontextmanager
async def broker_for(
    scenario: Scenario, *, kind: Kind, port: int, folder: Path, tell: Callable[[str], None]
) -> AsyncGenerator[Started, None]:
    """Start a broker on loopback for everybody on this machine, and stop it at the end.

    Parameters
    ----------
    scenario : Scenario
        The mesh; one with a motor does not run on the embedded broker.
    kind : str
        ``auto``: Mosquitto where there is a motor, else the embedded one.
    port : int
        Where it is to listen; when that is taken, or 0, on any free port.
    folder : Path
        The run's own.
    tell : callable
        Called with a line when something has happened to it.

    Raises
    ------
    LinkError
        It could not be started, or there is a motor and the embedded one was asked for.
    MissingLibraryError
        The one that is needed is not installed.
    """
    note = ""
    if not port_is_free(HOST, port):
        note = f"  (port {port} is in use, so another free one was taken)"
        port = 0
    port = port or free_port(HOST)
    config = BrokerConfig(
        cell=scenario.cell,
        root=scenario.root,
        kind=kind,
        listeners=(ListenerSection(address=HOST, port=port),),
        persistence=PersistenceSection(enabled=False),  # everybody says everything anew when it comes back
        state_dir=folder,
    )
    driven = motors(scenario.nodes)
    mosquitto = choose(config, driven)
    if mosquitto is None:
        embedded = EmbeddedBroker(HOST, port, motors=driven, tell=tell)
        await embedded.start()
        try:
            # It has no MQTT 5, and takes two seconds of everybody's time to say so.
            yield Started(BrokerSettings(url=config.listeners[0].url, protocol="3.1.1"), note, embedded.broken)
        finally:
            await embedded.stop()
        return
    managed = ManagedMosquitto(config, mosquitto, clock=SystemClock(), rng=random.Random(), on_event=tell)  # noqa: S311 - paces restarts
    await managed.start()
    try:
        settings = BrokerSettings(url=config.listeners[0].url)
        yield Started(settings, f"  ({mosquitto.name}, for this run){note}", asyncio.Event())
    finally:
        await managed.stop(STOP_S)
