"""The discovery messages: one device for the cell, and one for each node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2s
from typing import Any, Final, cast

from becomingone import __version__
from becomingone.hub.home_assistant.components import (
    Entity,
    figure,
    press,
    problem,
    truth,
    vital,
    word,
)
from becomingone.hub.showing.events import KINDS
from becomingone.wire.announce import About, State
from becomingone.wire.topics import Topics

ORIGIN: Final = "becomingone"

_THERE: Final = "{{ 'online' if value in ('init', 'ready', 'sleeping') else 'offline' }}"
_OUTPUT: Final = ("rest", "command", "alone")


def device_id(topics: Topics, node: str | None = None) -> str:
    """Give the identifier of the cell's device, or of a node's; no two of them are the same.

    Names may hold what they are joined by, so where they do, a digest of them is added.
    """
    parts = (*topics.base.split("/"), *(() if node is None else (node,)))
    joined = "_".join(parts)
    if not any("_" in part for part in parts) and topics.base.count("/") == 1:
        return joined
    return f"{joined}_{blake2s('/'.join(parts).encode() + bytes([node is None]), digest_size=4).hexdigest()}"


def cell_device(topics: Topics, bands: Sequence[str]) -> dict[str, Any]:
    """Give the discovery message of the cell."""
    base, own = topics.base, device_id(topics)
    entities: list[Entity] = [
        *_figures("", "", base),
        *(entity for band in bands for entity in _figures(f"{band}_", f"{band} ", f"{base}/band/{band}")),
        Entity(
            "event",
            "event",
            "Event",
            f"{base}/event/+",
            {"event_types": list(KINDS), "value_template": _EVENT, "qos": 1, "icon": "mdi:creation"},
        ),
        word("state", "State", topics.hub_state, tuple(State)),
        vital("nodes_ready", "Nodes ready", f"{base}/hub/health", None),
        vital("nodes", "Nodes", f"{base}/hub/health", None),
        vital("frames", "Frames", f"{base}/hub/health", "frames", total=True),
        vital("missing", "Frames missing", f"{base}/hub/health", "frames", total=True),
        vital("refused", "Messages refused", f"{base}/hub/health", "messages", total=True, path="refused_total"),
        vital("uptime", "Uptime", f"{base}/hub/health", "s", device_class="duration", path="uptime_s", digits=0),
        vital("rss", "Memory", f"{base}/hub/health", "B", device_class="data_size", path="rss_bytes", digits=0),
    ]
    return _message(
        own, f"BecomingONE {_cell(topics)}", "hub", __version__, entities, there=_available(topics.hub_state)
    )


_EVENT: Final = (
    "{{ {'event_type': value_json.kind, 'id': value_json.id | default(''), 'band': value_json.band | default(''), "
    "'node': value_json.node | default('')} | tojson }}"
)


def _figures(prefix: str, spoken: str, base: str) -> Iterable[Entity]:
    def named(name: str) -> str:
        return f"{spoken}{name}" if spoken else name.capitalize()

    two = {"suggested_display_precision": 2}
    yield truth(f"{prefix}emerged", named("emergence"), f"{base}/emerged", icon="mdi:creation")
    yield figure(f"{prefix}coherence", named("coherence"), f"{base}/coherence", "mdi:sine-wave", **two)
    yield figure(f"{prefix}order", named("order"), f"{base}/order", "mdi:vector-union", **two)
    yield figure(f"{prefix}locking", named("locking"), f"{base}/locking", "mdi:link-lock", **two)
    angle = {"unit_of_measurement": "rad", "enabled_by_default": False, **two}
    phase = figure(f"{prefix}phase", named("phase"), f"{base}/phase", "mdi:angle-acute", **angle)
    # The mean of −3.1 and 3.1 rad is not 0: no statistics of a phase.
    yield Entity(
        phase.key, phase.platform, phase.name, phase.topic, {k: v for k, v in phase.extra.items() if k != "state_class"}
    )


def node_device(topics: Topics, about: About) -> dict[str, Any]:
    """Give the discovery message of a node that has described itself."""
    node, base = about.node, topics.base
    health, described = topics.health(node), topics.about(node)
    by_hub = {"availability": [_available(topics.hub_state)]}
    entities: list[Entity] = [
        Entity(
            "connected",
            "binary_sensor",
            "Connected",
            topics.state(node),
            {
                "device_class": "connectivity",
                "value_template": "{{ 'ON' if value in ('init', 'ready', 'sleeping') else 'OFF' }}",
                "entity_category": "diagnostic",
                **by_hub,
            },
        ),
        _with(word("state", "State", topics.state(node), tuple(State)), by_hub),
        vital("uptime", "Uptime", health, "s", device_class="duration", path="uptime_s", digits=0),
        vital("rss", "Memory", health, "B", device_class="data_size", path="rss_bytes", digits=0),
        vital("temperature", "Processor temperature", health, "°C", device_class="temperature", path="temperature_c"),
        vital("clock_sigma", "Clock uncertainty", health, "s", device_class="duration", path="clock_sigma_s", digits=6),
        vital("clock_offset", "Clock offset", health, "s", device_class="duration", path="clock_offset_s", digits=6),
        vital("frames", "Frames", health, "frames", total=True),
        vital("dropped", "Frames dropped", health, "frames", total=True),
        vital("kept", "Frames waiting on the disk", health, "frames"),
        vital("kept_lost", "Frames lost from the disk", health, "frames", total=True),
        problem("kept_fault", "Disk", health, "{{ 'ON' if value_json.kept_fault else 'OFF' }}"),
        problem("mode", "Configuration", described, "{{ 'OFF' if value_json.mode == 'normal' else 'ON' }}"),
        press("identify", "Identify", f"{base}/request/{node}/cmd/identify", device_class="identify"),
        press("restart", "Restart", f"{base}/request/{node}/cmd/restart", device_class="restart"),
    ]
    for device in about.devices:
        works = f"(value_json.devices | selectattr('name', 'eq', '{device.name}') | map(attribute='available') | first)"
        template = f"{{{{ 'OFF' if {works} else 'ON' }}}}"
        entities.append(problem(f"device_{device.name}", device.name, described, template))
    entities.extend(
        word(
            f"output_{output.name}",
            output.name,
            topics.output_state(node, output.name),
            _OUTPUT,
            template="{{ value_json.doing }}",
        )
        for output in about.outputs
    )
    return _message(
        device_id(topics, node),
        f"{_cell(topics)} {node}",
        about.hardware,
        about.software,
        entities,
        there=_available(topics.state(node)),
        via=device_id(topics),
    )


def of_cell(topics: Topics, identifier: str, payload: dict[str, Any]) -> bool:
    """Tell whether a discovery message that somebody has stored is one of this cell's, whoever of it is meant."""
    origin, components = payload.get("origin"), payload.get("components")
    if not isinstance(origin, dict) or not isinstance(components, dict) or not components:
        return False
    if cast("dict[str, object]", origin).get("name") != ORIGIN:
        return False
    own = f"{topics.base}/"
    return identifier.startswith(topics.base.replace("/", "_")) and all(
        _topic_of(component).startswith(own) for component in cast("dict[str, object]", components).values()
    )


def _topic_of(component: object) -> str:
    if not isinstance(component, dict):
        return ""
    given = cast("dict[str, object]", component)
    return str(given.get("state_topic", given.get("command_topic", "")))


def _cell(topics: Topics) -> str:
    return topics.base.rsplit("/", 1)[-1]


def _with(entity: Entity, extra: dict[str, Any]) -> Entity:
    return Entity(entity.key, entity.platform, entity.name, entity.topic, {**entity.extra, **extra})


def _available(topic: str) -> dict[str, str]:
    return {"topic": topic, "value_template": _THERE}


def _message(
    own: str,
    name: str,
    model: str,
    software: str,
    entities: Iterable[Entity],
    *,
    there: dict[str, str],
    via: str | None = None,
) -> dict[str, Any]:
    device: dict[str, Any] = {
        "identifiers": [own],
        "name": name,
        "manufacturer": "BecomingONE",
        "model": model,
        "sw_version": software,
    }
    if via is not None:
        device["via_device"] = via
    return {
        "device": device,
        "origin": {"name": ORIGIN, "sw_version": __version__},
        "availability": [there],
        "components": {entity.key: entity.component(own) for entity in entities},
    }
