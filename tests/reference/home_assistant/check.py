"""Our discovery messages against Home Assistant's own schemas and templates; run by ``scripts/home-assistant``.

Reads one JSON object a line: ``payload``, a discovery message, and ``states``, by topic what is published there. Runs
in an environment of its own, with Home Assistant and without us.
"""

import asyncio
import importlib
import json
import sys

from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame
from homeassistant.helpers.template import Template

SHARED = ("availability", "qos", "encoding")
NEWER = {"default_entity_id"}
"""Keys that an older Home Assistant drops without a word."""


def rendered(hass, template, value):
    return Template(template.template, hass).async_render_with_possible_json_value(value, "an error")


def check(hass, given):
    message = given["payload"]
    DEVICE_DISCOVERY_SCHEMA(message)
    shared = {key: value for key, value in message.items() if key in SHARED}
    states, faults, shown = given["states"], [], 0
    identifiers = [component["unique_id"] for component in message["components"].values()]
    if len(set(identifiers)) < len(identifiers):
        faults.append("a unique id twice")
    for key, component in message["components"].items():
        settings = {**shared, **{name: value for name, value in component.items() if name != "platform"}}
        module = importlib.import_module(f"homeassistant.components.mqtt.{component['platform']}")
        checked = module.DISCOVERY_SCHEMA(settings)
        unknown = set(settings) - set(checked) - NEWER
        if unknown:
            faults.append(f"{key}: Home Assistant does not know {', '.join(sorted(unknown))}")
        shared_words = {
            rendered(hass, one["value_template"], states.get(one["topic"], ["lost"])[0])
            for one in checked["availability"]
        }
        if not shared_words <= {"online", "offline"}:
            faults.append(f"{key}: the availability is neither online nor offline")
        for state in states.get(component.get("state_topic"), []):
            value = rendered(hass, checked["value_template"], state)
            shown += 1
            allowed = component.get("options") or {"binary_sensor": ["ON", "OFF", "true", "false", "None"]}.get(
                component["platform"]
            )
            if value == "an error" or (allowed and value not in allowed):
                faults.append(f"{key}: {state[:60]!r} is shown as {value!r}")
            elif component["platform"] == "sensor" and not allowed and value != "None":
                float(value)
            elif component["platform"] == "event" and json.loads(value)["event_type"] not in component["event_types"]:
                faults.append(f"{key}: an event of a kind that it does not know: {value}")
    return len(message["components"]), shown, faults


async def main():
    hass = HomeAssistant("/nonexistent")
    frame.async_setup(hass)
    components = shown = 0
    faults = []
    for line in sys.stdin:
        made, states, wrong = check(hass, json.loads(line))
        components, shown, faults = components + made, shown + states, faults + wrong
    print(json.dumps({"components": components, "states": shown, "faults": faults}))
    await hass.async_stop(force=True)
    return 1 if faults or not components else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
