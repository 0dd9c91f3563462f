"""What the checks need of parts of the project that provisioning itself must not know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel

from becomingone.devices.contract import Module
from becomingone.provisioning.inventory.devices_of import HardwareOf


class RuleUse(NamedTuple):
    """What one of the hub's rules names.

    Parameters
    ----------
    number : int
        Which one, from 0.
    outputs : tuple of str
        ``<node>/<device>`` with ``*`` for any part of a name, or a role.
    nodes : mapping of str to set of str
        By field (``when``, ``set.brightness``), the nodes whose figures its expression reads.
    """

    number: int
    outputs: tuple[str, ...]
    nodes: Mapping[str, set[str]]


@dataclass(frozen=True, slots=True)
class Kit:
    """The loaders' models, and what is asked of modules and rules.

    Parameters
    ----------
    node, hub, broker : type
        The models of ``node.yaml``, ``hub.yaml`` and ``broker.yaml``.
    hardware_of : callable
        Names the hardware that device modules ask for.
    rates_of : callable
        Gives the sample rates, Hz, of a sensor's channels; None where they cannot be known here.
    rules_of : callable
        Gives what the rules of a hub's configuration name.
    roles : tuple of str
        The roles of outputs.
    """

    node: type[BaseModel]
    hub: type[BaseModel]
    broker: type[BaseModel]
    hardware_of: HardwareOf
    rates_of: Callable[[Module, BaseModel], Sequence[float] | None]
    rules_of: Callable[[BaseModel], Iterable[RuleUse]]
    roles: tuple[str, ...]
