"""Whether the hub's rules name outputs and nodes that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from becomingone.config.tree import Keys
from becomingone.provisioning.inventory.devices_of import Fitted
from becomingone.provisioning.inventory.kit import RuleUse
from becomingone.provisioning.inventory.structure import Fault


def missing_targets(
    rules: Iterable[RuleUse],
    *,
    nodes: Sequence[str],
    outputs: Sequence[str],
    devices: Sequence[Fitted],
    roles: Sequence[str],
) -> Iterator[Fault]:
    """Find what rules name and nobody is.

    Parameters
    ----------
    rules : iterable of RuleUse
        What they name.
    nodes : sequence of str
        The ids of the nodes.
    outputs : sequence of str
        ``<node>/<device>`` of every output.
    devices : sequence of Fitted
        Those that fit; their roles count where all outputs do.
    roles : sequence of str
        The roles that there may be.

    Yields
    ------
    Fault
        With keys of the hub's configuration.
    """
    there = [getattr(device.module.device, "role", None) for device in devices if device.part == "outputs"]
    known = len(there) == len(outputs) and None not in there
    for rule in rules:
        at: Keys = ("dispatch", "rules", rule.number)
        for number, wanted in enumerate(rule.outputs):
            keys = (*at, "outputs", number)
            if wanted in roles:
                if known and wanted not in there:
                    yield Fault(keys, f"no output has the role {wanted}")
            elif not any(_matches(one, wanted) for one in outputs):
                yield Fault(keys, f"there is no output {wanted}{_near(wanted, outputs)}")
        for field, names in rule.nodes.items():
            for name in sorted(names - {"", *nodes}):
                yield Fault((*at, *field.split(".")), f"there is no node {name}{_near(name, nodes)}")


def _matches(output: str, pattern: str) -> bool:
    (node, _, device), (of_node, _, of_device) = output.partition("/"), pattern.partition("/")
    return fnmatchcase(node, of_node) and fnmatchcase(device, of_device)


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}" if known else "; there is none"
