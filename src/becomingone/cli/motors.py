"""Which motors a mesh has: what moves must not hang on a broker that anybody may speak to."""

from __future__ import annotations

from collections.abc import Iterable

from becomingone.node.config import NodeBody, device_of


def motors(nodes: Iterable[NodeBody]) -> list[str]:
    """Name every output that is, or may be, a motor, as ``node/output``; nothing is opened.

    A device module says its role as a text in its class; one that finds out only when it is made may be anything, and
    counts as a motor.
    """
    found: list[str] = []
    for node in nodes:
        for output in node.outputs:
            module, _ = device_of(output, node.drop_in)
            role: object = getattr(module.device, "role", None)
            if role == "motor" or not isinstance(role, str):
                found.append(f"{node.node}/{output.name}")
    return found
