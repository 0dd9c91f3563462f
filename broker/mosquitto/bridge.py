"""A bridge to a parent cell's broker.

What crosses keeps its topic on both brokers: a message's authenticity covers its topic, so one that came down under
another name would be refused. The child's hub therefore publishes ``<root>/<parent>/cell/<child>/aggregate`` on its own
broker and reads ``<root>/<parent>/sync/+`` there, and nothing can go round in a circle.
"""

from __future__ import annotations

from becomingone.broker.access import Identity
from becomingone.broker.config import BrokerConfig
from becomingone.broker.mosquitto.lines import Line
from becomingone.broker.sections import BridgeSection

KEEPALIVE_S = 15
"""Seconds of silence before the bridge pings; less than any limit that a parent may set, and at least 5."""


def parent_base(config: BrokerConfig, bridge: BridgeSection) -> str:
    """Give the parent's ``<root>/<cell>``; both cells have one root."""
    return f"{config.root}/{bridge.parent}"


def bridge_lines(config: BrokerConfig, bridge: BridgeSection) -> list[Line]:
    """Render a bridge (mosquitto.conf(5), "Configuring bridges").

    The aggregate goes up at QoS 1, so that the parent's broker has said that it came; sync, which is worthless late,
    comes down at QoS 0. The session is clean: after an outage only what is new is of use. Whether the bridge stands is
    told on this broker alone, under ``$SYS/broker/connection/``; the parent's rules give a relay no place for it.
    """
    base = parent_base(config, bridge)
    host, port = bridge.address
    relay = Identity("relay", config.cell)
    name = f"{config.topics.client_id('relay')}.{bridge.parent}"
    return [
        ("connection", bridge.parent),
        ("address", f"{host}:{port}"),
        ("bridge_protocol_version", "mqttv50"),
        ("remote_clientid", name),
        ("local_clientid", f"local.{name}"),
        ("remote_username", relay.id),
        ("cleansession", True),
        ("start_type", "automatic"),
        ("restart_timeout", "1 30"),
        ("keepalive_interval", KEEPALIVE_S),
        ("notifications", True),
        ("notifications_local_only", True),
        ("bridge_max_packet_size", config.limits.packet_bytes),
        ("bridge_cafile", bridge.ca),
        ("bridge_certfile", bridge.certificate),
        ("bridge_keyfile", bridge.key),
        ("bridge_tls_version", "tlsv1.2"),
        ("bridge_insecure", False),
        ("topic", f"{base}/cell/{config.cell}/aggregate out 1"),
        ("topic", f"{base}/sync/+ in 0"),
    ]
