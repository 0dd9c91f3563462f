"""Cells that can be simulated: walkers made by formula, and scenarios whose live devices are exchanged for tones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from becomingone.config.sections import BandSection
from becomingone.config.security import HubSecurity, NodeSecurity
from becomingone.hub.config import HubConfig
from becomingone.node.config import InputSection, NodeConfig, OutputSection
from becomingone.sim.streams import stream
from becomingone.wire.seal import KEY_BYTES, node_key

FORESEEABLE: Final = frozenset({"synthetic", "daily", "recording", "terminal"})
"""Kinds of device that are the same in every run."""

STRIDE_HZ: Final = 0.784
RATE_HZ: Final = 50.0


def walkers(number: int, *, seed: int, clock: Mapping[str, float] | None = None) -> list[NodeConfig]:
    """Make nodes that all walk at one pace, each with a phase and noise of its own; the first one drives a light.

    Parameters
    ----------
    number : int
        How many, at least 1.
    seed : int
        Draws phases (within ±0.5 rad) and noise; each node's are its own, however many there are.
    clock : mapping, optional
        Each node's section ``clock``.
    """
    return [
        NodeConfig.model_validate(
            {
                "node": f"n{index:03d}",
                "inputs": [
                    {
                        "name": "leg",
                        "kind": "synthetic",
                        "bands": ["stride"],
                        "options": _tone(f"n{index:03d}", "leg", seed, STRIDE_HZ),
                    }
                ],
                "outputs": [{"name": "light", "kind": "terminal"}] if index == 1 else [],
                "clock": dict(clock or {"sigma_s": 1e-4}),
            }
        )
        for index in range(1, number + 1)
    ]


def _tone(node: str, device: str, seed: int, frequency_hz: float) -> dict[str, Any]:
    rng = stream(seed, "tone", node, device)
    return {
        "frequency_hz": frequency_hz,
        "amplitude": 1.0,
        "phase_rad": round(rng.random() - 0.5, 6),
        "noise": 0.1,
        "rate_hz": RATE_HZ,
        "seed": rng.getrandbits(32),
        "floor": 0.05,
    }


def authenticated(hub: HubConfig, nodes: Sequence[NodeConfig], *, seed: int) -> tuple[HubConfig, list[NodeConfig]]:
    """Give hub and nodes keys made of the seed, with which they know each other's messages."""
    secret = stream(seed, "secret").randbytes(KEY_BYTES)

    def sealed(node: NodeConfig) -> NodeConfig:
        key = node_key(secret, node.root, node.cell, node.node).hex()
        return node.model_copy(update={"security": NodeSecurity.model_validate({"key": key})})

    return hub.model_copy(update={"security": HubSecurity.model_validate({"secret": secret.hex()})}), [
        sealed(node) for node in nodes
    ]


def foreseeable(config: NodeConfig, *, seed: int) -> tuple[NodeConfig, list[str]]:
    """Exchange what depends on the machine and the day for tones, each at its first band's frequency.

    Returns
    -------
    NodeConfig
        The node as it can be simulated.
    list of str
        What was exchanged: ``desk/ears (microphone)``.
    """
    exchanged: list[str] = []

    def tone(section: InputSection) -> InputSection:
        if section.kind in FORESEEABLE:
            return section
        exchanged.append(f"{config.node}/{section.name} ({section.kind})")
        frequency_hz = _first(config.bands, section.bands).frequency_hz
        options = _tone(config.node, section.name, seed, frequency_hz)
        # Two devices of a node would both call their channel tone.
        prefix = section.prefix or f"{section.name}_"
        return section.model_copy(update={"kind": "synthetic", "options": options, "prefix": prefix})

    def light(section: OutputSection) -> OutputSection:
        if section.kind in FORESEEABLE:
            return section
        exchanged.append(f"{config.node}/{section.name} ({section.kind})")
        return section.model_copy(update={"kind": "terminal", "options": {}})

    made = config.model_copy(
        update={"inputs": tuple(map(tone, config.inputs)), "outputs": tuple(map(light, config.outputs))}
    )
    return made, exchanged


def _first(plan: Mapping[str, BandSection], bands: Sequence[str] | None) -> BandSection:
    """Give the first band that is asked for; without any, the first that a tone of `RATE_HZ` may have."""
    names = bands or [name for name, band in plan.items() if 4 * band.frequency_hz <= RATE_HZ] or list(plan)
    return plan[names[0]]


def grown(configs: Sequence[NodeConfig], number: int) -> list[NodeConfig]:
    """Give so many nodes: the first ones, or all again and again under further names (``thigh-2``)."""
    made: list[NodeConfig] = []
    for index in range(number):
        turn, place = divmod(index, len(configs))
        config = configs[place]
        made.append(config if not turn else config.model_copy(update={"node": f"{config.node}-{turn + 1}"[:63]}))
    return made
