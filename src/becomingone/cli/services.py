"""``hub run``: what systemd starts on the hub's machine."""

from __future__ import annotations

import argparse
import asyncio
import os
import random

from becomingone.cli import process
from becomingone.cli.links import paho_links
from becomingone.config.boot import next_boot
from becomingone.config.loader import load
from becomingone.scheduling import LoopScheduler, MeshClock


def run_hub(arguments: argparse.Namespace) -> int:
    """Run the hub until it is told to stop."""
    from becomingone.hub.config import HubConfig  # noqa: PLC0415 - a node needs none of it
    from becomingone.hub.epochs import EpochFile  # noqa: PLC0415
    from becomingone.hub.frame_log import SqliteFrameLog  # noqa: PLC0415
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
            links=paho_links(config.broker, scheduler, rng),
            clock=MeshClock(scheduler),
            scheduler=scheduler,
            epochs=EpochFile(state_dir / "epochs.json"),
            frames=SqliteFrameLog(state_dir / "frames.db", scheduler, max_mb=config.memory.max_mb),
        )

    return process.run(make, stop_with_stdin=arguments.stop_with_stdin)
