"""What Home Assistant shows: one frozen description an entity, made into what its discovery wants.

Keys and values are those of Home Assistant's manual, "MQTT, discovery payload"; long names, so that a person can read
the messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

_DIAGNOSTIC: Final = {"entity_category": "diagnostic"}


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of a device.

    Parameters
    ----------
    key : str
        Its key in the message and the end of its unique id.
    platform : str
        Home Assistant's platform.
    name : str
        What a person reads.
    topic : str
        State topic; for a button, the command topic.
    extra : mapping
        Further keys of that platform.
    """

    key: str
    platform: Literal["sensor", "binary_sensor", "event", "button", "light"]
    name: str
    topic: str
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def component(self, device: str) -> dict[str, Any]:
        """Give the component of a device's discovery message."""
        where = "command_topic" if self.platform == "button" else "state_topic"
        topics = {} if self.platform == "light" else {where: self.topic}
        unique = f"{device}_{self.key}"
        return {
            "platform": self.platform,
            "name": self.name,
            "unique_id": unique,
            "default_entity_id": f"{self.platform}.{unique.replace('-', '_')}",
            **topics,
            **self.extra,
        }


def figure(key: str, name: str, topic: str, icon: str, **extra: Any) -> Entity:  # noqa: ANN401 - Home Assistant's own keys
    """Describe a figure of the mesh: a number as text, or nothing where nothing stands behind it."""
    return Entity(
        key,
        "sensor",
        name,
        topic,
        {"value_template": "{{ value if value else 'None' }}", "icon": icon, "state_class": "measurement", **extra},
    )


def truth(key: str, name: str, topic: str, **extra: Any) -> Entity:  # noqa: ANN401 - Home Assistant's own keys
    """Describe a topic that says ``true`` or ``false``, or nothing where that is not known."""
    return Entity(
        key,
        "binary_sensor",
        name,
        topic,
        {
            "value_template": "{{ value if value else 'None' }}",
            "payload_on": "true",
            "payload_off": "false",
            **extra,
        },
    )


def vital(
    key: str,
    name: str,
    topic: str,
    unit: str | None,
    *,
    device_class: str | None = None,
    total: bool = False,
    path: str = "",
    digits: int | None = None,
) -> Entity:
    """Describe a figure in a JSON message that tells how something is."""
    extra: dict[str, Any] = {
        "value_template": f"{{{{ value_json.{path or key} }}}}",
        "state_class": "total_increasing" if total else "measurement",
        **_DIAGNOSTIC,
    }
    if unit is not None:
        extra["unit_of_measurement"] = unit
    if device_class is not None:
        extra["device_class"] = device_class
    if digits is not None:
        extra["suggested_display_precision"] = digits
    return Entity(key, "sensor", name, topic, extra)


def word(key: str, name: str, topic: str, words: tuple[str, ...], *, template: str = "{{ value }}") -> Entity:
    """Describe a topic that says one of some words."""
    extra = {"device_class": "enum", "options": list(words), "value_template": template, **_DIAGNOSTIC}
    return Entity(key, "sensor", name, topic, extra)


def problem(key: str, name: str, topic: str, template: str) -> Entity:
    """Describe something that may be broken; the template gives ``ON`` where it is."""
    return Entity(
        key, "binary_sensor", name, topic, {"device_class": "problem", "value_template": template, **_DIAGNOSTIC}
    )


def press(key: str, name: str, topic: str, *, device_class: Literal["identify", "restart"]) -> Entity:
    """Describe a button that asks the hub for something."""
    category = "diagnostic" if device_class == "identify" else "config"
    extra = {"payload_press": "{}", "qos": 1, "device_class": device_class, "entity_category": category}
    return Entity(key, "button", name, topic, extra)
