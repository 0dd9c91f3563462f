"""``hub run``: what systemd starts on the hub's machine. It asks whether the cell has a hub, and begins where not."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable

from becomingone import __version__
from becomingone.broker.link import LinkFactory
from becomingone.cli import process
from becomingone.cli.exits import Exit
from becomingone.cli.hub_file import load_hub
from becomingone.cli.links import paho_links
from becomingone.config.boot import next_boot
from becomingone.config.security import key_bytes
from becomingone.hub.claim import Claim, HubAbout, instance_in
from becomingone.hub.config import HubConfig
from becomingone.hub.intake.epochs import EpochFile
from becomingone.hub.machine import HubMachine
from becomingone.hub.memory.store import SqliteMemory
from becomingone.hub.observer import Observer
from becomingone.hub.service import Hub
from becomingone.hub.web.server import WebServer
from becomingone.runner import ThreadRunner
from becomingone.scheduling import LoopScheduler, MeshClock
from becomingone.wire.frame import PROTOCOL
from becomingone.wire.signature import Signer
from becomingone.wire.topics import Topics

_LOG = logging.getLogger(__name__)


def run_hub(arguments: argparse.Namespace) -> int:
    """Run the hub until it is told to stop, or finds that the cell has another one."""
    config = load_hub(arguments.config, overrides=arguments.overrides, environ=os.environ)
    process.set_up_logging("DEBUG" if arguments.debug else config.logging.level)
    life = _Life(config)
    ended = process.run(life.make, stop_with_stdin=arguments.stop_with_stdin, end=life.end)
    return Exit.FAILED if life.gave_way else ended


class _Life:
    """One life of the hub's process.

    Attributes
    ----------
    gave_way : bool
        Whether it ended, or never began, because of another hub.
    end : asyncio.Event
        Set when it wants to end.
    """

    def __init__(self, config: HubConfig) -> None:
        self._config = config
        self._state_dir = config.state_dir / config.cell / ("hub" if config.mode == "full" else config.audit.name)
        self._instance = instance_in(self._state_dir)
        self._boot = next_boot(self._state_dir)
        self.gave_way = False
        self.end = asyncio.Event()

    def make(self, loop: asyncio.AbstractEventLoop) -> _Claimed:
        """Make the hub, inside the running loop."""
        config, scheduler = self._config, LoopScheduler(loop)
        clock = MeshClock(scheduler)
        links = paho_links(config.broker, scheduler, random.Random())  # noqa: S311 - spreads reconnections
        about = HubAbout(
            protocol=PROTOCOL,
            instance=self._instance,
            boot=self._boot,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_us=clock.now_us(),
            software=f"becomingone {__version__}",
        )
        machine = HubMachine(
            boot=self._boot,
            links=links,
            parent_links=_parent_links(config, scheduler),
            clock=clock,
            scheduler=scheduler,
            epochs=EpochFile(self._state_dir / "epochs.json"),
            memory=SqliteMemory(
                self._state_dir / "memory.db", scheduler, section=config.memory, signer=self._signer(), boot=self._boot
            ),
            make_runner=lambda name: ThreadRunner(scheduler, name),
            about=about,
            give_way=self._give_way,
        )
        if config.mode == "witness":  # as many as one likes
            return _Claimed(Observer(config, machine), None)
        return _Claimed(
            Hub(config, machine),
            lambda granted: Claim(
                Topics(config.root, config.cell),
                self._instance,
                links=links,
                scheduler=scheduler,
                granted=granted,
                refused=self._give_way,
                snapshot_s=config.snapshot_s,
            ),
        )

    def _signer(self) -> Signer | None:
        key = self._config.security.signing_key
        return None if key is None else Signer(key_bytes(key.get_secret_value()))

    def _give_way(self, why: str) -> None:
        _LOG.error("%s", why)
        self.gave_way = True
        self.end.set()


class _Claimed:
    """A hub that begins once it knows that it is the only one; its HTTP server begins at once, and says so."""

    def __init__(self, hub: Hub | Observer, make_claim: Callable[[Callable[[], None]], Claim] | None) -> None:
        self._hub = hub
        self._begun = False
        self._claim = make_claim(self._begin) if make_claim is not None else None
        self._web = WebServer(hub.config.http, faults=self._faults, snapshot=lambda: hub.snapshot, health=hub.healths)

    def start(self) -> None:
        """Ask for the cell."""
        self._web.start()
        if self._claim is None:
            self._begin()
        else:
            self._claim.start()

    def stop(self, done: Callable[[], None]) -> None:
        """End what has begun."""
        if self._claim is not None:
            self._claim.close()
        self._web.close()
        if self._begun:
            self._hub.stop(done)
        else:
            self._hub.close()
            done()

    def _begin(self) -> None:
        self._begun = True
        self._hub.start()

    def _faults(self) -> dict[str, str]:
        if not self._begun:
            return {"claim": "has not heard yet whether the cell has another hub"}
        return self._hub.faults()


def _parent_links(config: HubConfig, scheduler: LoopScheduler) -> LinkFactory | None:
    """Give what makes the link to the parent's broker, where that is another one."""
    broker = config.relay.broker
    return None if broker is None else paho_links(broker, scheduler, random.Random())  # noqa: S311 - see above
