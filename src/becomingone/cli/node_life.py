"""One life of a node in an event loop: the agent, what watches it, and what it proves by living on."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import TypedDict

from becomingone.broker.kept_store import MemoryStore
from becomingone.broker.link import Link, LinkFactory, Will
from becomingone.cli.links import paho_links
from becomingone.cli.node_host import NodeHost
from becomingone.cli.node_start import NodeStart, folder_of
from becomingone.config.boot import is_volatile
from becomingone.config.security import NodeSecurity, key_bytes
from becomingone.node.agent import NodeAgent
from becomingone.node.board_led import BoardLed
from becomingone.node.config import NodeConfig
from becomingone.node.config_file import Loaded
from becomingone.node.log_ring import Log
from becomingone.node.machine import Machine
from becomingone.node.notify import Notifier
from becomingone.node.ports import NodePorts
from becomingone.node.sections import SpoolSection
from becomingone.node.spool.spool import Spool
from becomingone.node.starts import Starts
from becomingone.node.watchdog import Check, LinkCheck, Watchdog
from becomingone.runner import ThreadRunner
from becomingone.scheduling import NANOSECONDS, LoopScheduler, MeshClock, Timer
from becomingone.wire.signature import Verifier

STOP_S = 5.0
"""Seconds for an orderly end: outputs at rest, what is queued sent, ``disconnected`` published."""

SAFE_S = 6 * 3600.0
"""Seconds in safe mode after which an ordinary start is tried again: what was wrong may have been the mains."""

CALM_S = 3600.0
"""Seconds without anything that hangs, after which restarts against it count as having helped."""

_LOG = logging.getLogger(__name__)


class NodeLife:
    """A node as a part of a process, see `becomingone.cli.process.Part`.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The running loop.
    start : NodeStart
        Hears of it when this life has proved stable, and reads the configuration again.
    loaded, starts, boot : Loaded, Starts, int
        What it gave.
    notifier : Notifier
        Tells the supervisor.
    log : Log
        The log.
    end : asyncio.Event
        Set to end the process.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        start: NodeStart,
        loaded: Loaded,
        starts: Starts,
        boot: int,
        *,
        notifier: Notifier,
        log: Log,
        end: asyncio.Event,
    ) -> None:
        self._loop = loop
        self._start = start
        self._loaded = loaded
        self._starts = starts
        self._notifier = notifier
        self._links: list[Link] = []
        self._timers: list[Timer] = []
        self._watchdog: Watchdog | None = None
        self._scheduler = scheduler = LoopScheduler(loop)
        config = loaded.config
        clock = MeshClock(scheduler, config.clock.sigma_s)
        rng = random.Random()  # noqa: S311 - spreads reconnections, guards nothing
        # In safe mode nothing is made that is not needed; what an uncounted life keeps, no later one could send.
        self._spool = None if loaded.mode == "safe" or is_volatile(boot) else _spool(config, scheduler)
        self._host = NodeHost(notifier=notifier, log=log, starts=starts, clock=scheduler, end=end)
        machine = Machine(
            boot=boot,
            pid=os.getpid(),
            host_name=socket.gethostname(),
            links=self._kept(paho_links(config.broker, scheduler, rng)),
            ports=NodePorts(clock),
            clock=clock,
            scheduler=scheduler,
            make_runner=lambda name: ThreadRunner(scheduler, name),
            rng=rng,
            host=self._host,
            store=MemoryStore(int(config.spool.max_mb * 1e6)) if self._spool is None else self._spool,
            verifier=_verifier(config.security),
            led=BoardLed(),
        )
        self._agent = NodeAgent(loaded, machine)
        self._host.serve(lambda: start.reload(self._apply))

    def start(self) -> None:
        """Begin."""
        self._loop.add_signal_handler(signal.SIGHUP, _stop_here if _in_terminal() else self._host.hang_up)
        self._agent.start()
        if self._notifier.watchdog_ns is not None:
            self._watchdog = Watchdog(
                self._scheduler,
                self._notifier,
                self._notifier.watchdog_ns,
                self._checks(),
                starved=lambda why: _aside(lambda: self._starts.struck(why)),
            )
        if self._loaded.mode == "safe":
            self._after(SAFE_S, lambda: self._host.try_again("an ordinary start is tried again"))
        else:
            self._after(self._loaded.config.life.stable_s, self._stable)
        self._after(CALM_S, lambda: _aside(self._starts.calm))

    def stop(self, done: Callable[[], None]) -> None:
        """Put the outputs to rest at once, then take leave, then call back."""
        for timer in self._timers:
            timer.cancel()
        if self._watchdog is not None:
            self._watchdog.close()

        def gone() -> None:
            if self._spool is not None:
                self._spool.close()
            done()

        self._agent.stop(gone)  # before anything that could hold it up: motors first
        self._notifier.stopping("stops")
        self._notifier.extend(STOP_S + 1.0)

    def _stable(self) -> None:
        _aside(lambda: self._start.stable(self._loaded))

    def _apply(self, loaded: Loaded) -> None:
        self._start.configure_log(loaded.config)
        if self._spool is not None:
            self._spool.limit(**_limits(loaded.config.spool))
        self._agent.apply(loaded)

    def _checks(self) -> list[Check]:
        checks: list[Check] = [LinkCheck(link, self._scheduler) for link in self._links]
        if self._starts.resigned:
            _LOG.warning("restarts have not cured what hung (%s): the node lives on without it", self._starts.why)
        else:
            checks.append(self._agent.hung)
        return checks

    def _after(self, seconds: float, callback: Callable[[], None]) -> None:
        due = self._scheduler.monotonic_ns() + int(seconds * NANOSECONDS)
        self._timers.append(self._scheduler.call_at(due, callback))

    def _kept(self, factory: LinkFactory) -> LinkFactory:
        """Keep every link that is made, so that it can be watched."""

        def make(client_id: str, will: Will | None, *, session_s: int = 0) -> Link:
            link = factory(client_id, will, session_s=session_s)
            self._links.append(link)
            return link

        return make


class _Limits(TypedDict):
    max_bytes: int
    sync_frames: int
    sync_s: float


def _limits(section: SpoolSection) -> _Limits:
    return {"max_bytes": int(section.max_mb * 1e6), "sync_frames": section.sync_frames, "sync_s": section.sync_s}


def _spool(config: NodeConfig, scheduler: LoopScheduler) -> Spool:
    return Spool(folder_of(config) / "spool", **_limits(config.spool), scheduler=scheduler)


def _verifier(security: NodeSecurity) -> Verifier | None:
    """Make what checks the hub's signatures, where it signs: that takes a library that other nodes need not have."""
    key = security.hub_public_key
    return None if key is None else Verifier(key_bytes(key))


def _in_terminal() -> bool:
    """Whether SIGHUP means that the window has been closed, and not that somebody wants a reload."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def _stop_here() -> None:
    signal.raise_signal(signal.SIGTERM)


def _aside(write: Callable[[], None]) -> None:
    """Write to the card without holding up the loop: that may take seconds."""
    threading.Thread(target=write, name="starts", daemon=True).start()
