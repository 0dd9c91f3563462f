"""A cell in virtual time: its discovery messages, and whatever was published on the topics that they name."""

from __future__ import annotations

import json
import sys
from typing import Any

from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.wire.topics import matches

BANDS = {"motion": {"frequency_hz": 1.5, "tau_s": 0.4}}


def node(name: str, phase: float) -> NodeConfig:
    """Describe a node with a tone and a light."""
    options = {"frequency_hz": 1.5, "phase_rad": phase, "rate_hz": 20, "noise": 0.1, "seed": 1, "floor": 0.05}
    return NodeConfig.model_validate(
        {
            "node": name,
            "bands": BANDS,
            "health_s": 5,
            "inputs": [{"name": "leg", "kind": "synthetic", "bands": ["motion"], "options": options}],
            "outputs": [{"name": "light", "kind": "terminal"}],
        }
    )


def messages() -> list[dict[str, Any]]:
    """Run the cell, lose a node of it, stop the hub; give each discovery message with the states of its entities."""
    bench = Bench(seed=7)
    hub = bench.add_hub(HubConfig.model_validate({"bands": BANDS, "health_s": 5}))
    for name, phase in (("thigh", 0.0), ("shank", 0.7), ("arm", -0.5)):
        bench.add_node(node(name, phase))
    bench.run_for(60.0)
    bench.kill("arm")
    bench.run_for(20.0)
    hub.stop(lambda: None)
    bench.run_for(2.0)
    found: dict[str, dict[str, Any]] = {}
    published: dict[str, list[str]] = {}
    for entry in bench.broker.trace:
        if entry.topic.startswith("homeassistant/device/") and entry.payload:
            found[entry.topic] = json.loads(entry.payload)
        elif not entry.topic.startswith("homeassistant/") and "/phase/" not in entry.topic:
            text = entry.payload.decode("utf-8", "replace")
            if text not in published.setdefault(entry.topic, []):
                published[entry.topic].append(text)
    result: list[dict[str, Any]] = []
    for message in found.values():
        asked = {one["topic"] for one in message["availability"]}
        for component in message["components"].values():
            asked |= {one["topic"] for one in component.get("availability", ())}
            asked |= {component[key] for key in ("state_topic",) if key in component}
        states = {
            wanted: [text for topic, texts in published.items() if matches(wanted, topic) for text in texts[-50:]]
            for wanted in sorted(asked)
        }
        result.append({"payload": message, "states": states})
    return result


if __name__ == "__main__":
    for one in messages():
        sys.stdout.write(json.dumps(one) + "\n")
