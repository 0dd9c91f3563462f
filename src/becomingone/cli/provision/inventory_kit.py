"""What the inventory's checks ask of nodes, hub and simulated hardware, which provisioning itself must not know."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from typing import Final

from pydantic import BaseModel

from becomingone.broker.config import BrokerConfig
from becomingone.cli.hardware import hardware_of
from becomingone.devices.contract import Module
from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.provisioning.inventory.kit import Kit, RuleUse
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.ports import SimPorts
from becomingone.wire.command import RANGES

PATIENCE_S: Final = 5.0
"""Seconds that the making of a device may take."""


def kit() -> Kit:
    """Give all of it."""
    return Kit(
        node=NodeConfig,
        hub=HubConfig,
        broker=BrokerConfig,
        hardware_of=hardware_of,
        rates_of=rates_of,
        rules_of=rules_of,
        roles=tuple(RANGES),
    )


def rates_of(module: Module, options: BaseModel) -> Sequence[float] | None:
    """Make a sensor on simulated hardware and ask for its channels' rates, Hz; None where it cannot be made here."""
    came: list[list[float]] = []

    def ask() -> None:
        scheduler = VirtualScheduler()
        try:
            device = module.device(options, SimPorts(MeshClock(scheduler), scheduler))
            came.append([float(channel.rate_hz) for channel in device.channels])
            device.close()
        except BaseException:  # noqa: BLE001 - whatever it is: it cannot be made here, and that is the answer
            return

    thread = threading.Thread(target=ask, name=f"channels of {module.kind}", daemon=True)
    with redirect_stdout(sys.stderr):  # what a module prints is not our output
        thread.start()
        thread.join(PATIENCE_S)
    return came[0] if came else None


def rules_of(config: BaseModel) -> Iterator[RuleUse]:
    """Give what the rules of a hub's configuration name."""
    if not isinstance(config, HubConfig):
        return
    for number, rule in enumerate(config.dispatch.rules):
        nodes = {field: expression.uses.nodes for field, expression in rule.expressions().items()}
        yield RuleUse(number, rule.outputs, nodes)
