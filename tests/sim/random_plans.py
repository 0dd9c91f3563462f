"""Fault plans drawn at random: a few kinds of fault each, some mild and some wild."""

from __future__ import annotations

from typing import Any

from becomingone.sim.plan import FaultPlan
from becomingone.sim.streams import stream


def random_plan(seed: int, until_s: float = 30.0) -> FaultPlan:
    """Draw a plan; system clocks are not set in it, because nothing in the mesh can mend that yet."""
    rng = stream(seed, "random plan")

    def often(least: float = 5.0, most: float = 60.0) -> float:
        return round(least * (most / least) ** rng.random(), 3)

    def chance(most: float) -> float:
        return round(most * rng.random() ** 2, 4) if rng.random() < 0.5 else 0.0

    def delay() -> dict[str, Any]:
        return rng.choice(
            [
                {"kind": "uniform", "low": 0.1, "high": 0.3},
                {"kind": "exponential", "least": 0.5, "mean": 20 * rng.random() + 0.1},
                {"kind": "normal", "mean": 10, "sigma": 10},
                {"kind": "empirical", "values": [1, 2, 3, 250]},
            ]
        )

    def way() -> dict[str, Any]:
        return {
            "delay_ms": delay(),
            "loss": chance(0.3),
            "duplicate": chance(0.2),
            "drop": chance(0.2),
            "reorder": chance(0.2),
            "corrupt": chance(0.1),
        }

    lasts = {"kind": "uniform", "low": 0.2, "high": round(1 + 25 * rng.random() ** 2, 3)}
    faults: list[dict[str, Any]] = [
        {"kind": "cut", "every_s": often()},
        {"kind": "half_open", "every_s": often(10)},
        {"kind": "partition", "every_s": often(), "lasts_s": lasts, "share": round(rng.random(), 3)},
        {"kind": "kill", "every_s": often(15), "lasts_s": lasts, "silent": 0.5},
        {"kind": "broker_crash", "every_s": often(), "lasts_s": lasts, "persistent": 0.5, "silent": 0.5},
    ]
    rng.shuffle(faults)
    return FaultPlan.model_validate(
        {
            "title": f"random plan {seed}",
            "until_s": until_s,
            "network": {
                "stall_s": rng.choice([5, 20, 60]),
                "paths": [{"clients": ["hub"], "up": way(), "down": way()}, {"up": way(), "down": way()}],
            },
            "faults": faults[: rng.randint(0, len(faults))],
            "clocks": [{"drift_ppm": {"kind": "uniform", "low": -100, "high": 100}}],
        }
    )
