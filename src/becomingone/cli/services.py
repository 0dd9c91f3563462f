"""``node run``, ``hub run``: one part each, what systemd starts."""

from __future__ import annotations

import argparse
import asyncio
import os
import random

from becomingone.broker.backoff import Backoff
from becomingone.broker.link import Link, LinkFactory, Will
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.cli import process
from becomingone.config.boot import next_boot
from becomingone.config.loader import digest, load
from becomingone.scheduling import LoopScheduler, MeshClock


def _links(settings: BrokerSettings, scheduler: LoopScheduler, rng: random.Random) -> LinkFactory:
    def make(client_id: str, will: Will | None, *, session_s: int = 0) -> Link:
        backoff = Backoff(rng)
        return PahoLink(client_id, will, settings=settings, scheduler=scheduler, backoff=backoff, session_s=session_s)

    return make


def run_node(arguments: argparse.Namespace) -> int:
    """Run a node until it is told to stop."""
    from becomingone.node.agent import NodeAgent  # noqa: PLC0415 - the hub's machine needs none of it
    from becomingone.node.config import NodeConfig  # noqa: PLC0415
    from becomingone.node.ports import NodePorts  # noqa: PLC0415
    from becomingone.node.runner import ThreadRunner  # noqa: PLC0415

    config = load(NodeConfig, arguments.config, overrides=arguments.overrides, environ=os.environ)
    process.set_up_logging("DEBUG" if arguments.debug else config.logging.level)
    boot = next_boot(config.state_dir / config.cell / config.node)

    def make(loop: asyncio.AbstractEventLoop) -> NodeAgent:
        scheduler = LoopScheduler(loop)
        clock = MeshClock(scheduler, config.clock.sigma_s)
        rng = random.Random()  # noqa: S311 - spreads reconnections, guards nothing
        return NodeAgent(
            config,
            config_sha256=digest(config),
            boot=boot,
            links=_links(config.broker, scheduler, rng),
            ports=NodePorts(clock),
            clock=clock,
            scheduler=scheduler,
            make_runner=lambda name: ThreadRunner(scheduler, name),
            rng=rng,
            pid=os.getpid(),
        )

    return process.run(make, stop_with_stdin=arguments.stop_with_stdin)


def run_hub(arguments: argparse.Namespace) -> int:
    """Run the hub until it is told to stop."""
    from becomingone.hub.config import HubConfig  # noqa: PLC0415 - a node needs none of it
    from becomingone.hub.epochs import EpochFile  # noqa: PLC0415
    from becomingone.hub.service import Hub  # noqa: PLC0415

    config = load(HubConfig, arguments.config, overrides=arguments.overrides, environ=os.environ)
    process.set_up_logging("DEBUG" if arguments.debug else config.logging.level)
    state_dir = config.state_dir / config.cell / "hub"
    boot = next_boot(state_dir)

    def make(loop: asyncio.AbstractEventLoop) -> Hub:
        scheduler = LoopScheduler(loop)
        rng = random.Random()  # noqa: S311 - spreads reconnections, guards nothing
        return Hub(
            config,
            boot=boot,
            links=_links(config.broker, scheduler, rng),
            clock=MeshClock(scheduler),
            scheduler=scheduler,
            epochs=EpochFile(state_dir / "epochs.json"),
        )

    return process.run(make, stop_with_stdin=arguments.stop_with_stdin)
