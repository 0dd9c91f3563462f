"""What is known of each broker: where it differs, and what cannot be asked of it. The one place that says so."""

from __future__ import annotations

from dataclasses import dataclass

from .behaviour import Behaviour, Outcome, Verdict


@dataclass(frozen=True)
class Difference:
    """A broker does something else. A test fails when it does not do that, and when it no longer does.

    Parameters
    ----------
    behaviour : str
        By its sentence.
    instead : str
        What the broker does instead, word for word as the behaviour's check finds it.
    because : str
        Why we live with it.
    """

    behaviour: str
    instead: str
    because: str


_ONCE_EACH = Difference(
    "a message comes once though subscriptions of a client overlap",
    "it comes once for each subscription",
    "the standard allows it; frames, commands and events have numbers, and states may be told twice",
)
_GRANTED = Difference(
    "a forbidden subscription is refused and the link says so",
    "it is granted",
    "nothing comes through it: the rules are asked for each message",
)

DIFFERENCES: dict[str, tuple[Difference, ...]] = {
    "simulated": (),
    "simulated 5": (),
    "embedded": (
        _ONCE_EACH,
        Difference(
            "what is sent in one breath with a goodbye is routed",
            "most of it is lost, though acknowledged",
            "our links wait for the acknowledgements before they say goodbye",
        ),
        Difference(
            "the will is published when another takes the client identifier",
            "it is not",
            "the hub's own timer decides who is lost",
        ),
        Difference(
            "a newer client takes the identifier of an older",
            "both stay connected",
            "on one machine `up` starts each client once, and a boot id tells two lives of a node apart",
        ),
        Difference(
            "a kept session brings messages of QoS 1 of meanwhile in order",
            "none come",
            "nothing of ours relies on sessions there; what must not be lost is acknowledged by the hub itself",
        ),
        Difference(
            "a client that sends what is no MQTT is thrown out",
            "it stays, and is not served",
            "only programs of this machine can connect",
        ),
        Difference(
            "a message to a wildcard ends the connection",
            "it stays, and is not served",
            "our links refuse to send such a message",
        ),
        Difference(
            "a NUL in a topic ends the connection",
            "it stays, and is served",
            "our links refuse to send such a message",
        ),
        Difference(
            "the will is published when a client falls silent",
            "it is not",
            "the hub's own timer decides who is lost",
        ),
    ),
    "mosquitto": (_GRANTED,),
    "mosquitto 5": (_ONCE_EACH, _GRANTED),
    "mosquitto TLS": (),
    "mosquitto WebSocket": (),
}
"""By broker."""

_NO_BYTES = {"bytes": "there is no stream of bytes in the simulation"}
_OLD = {"mqtt5": "MQTT 3.1.1 has nothing of the kind"}

LACKS: dict[str, dict[str, str]] = {
    "simulated": {**_NO_BYTES, **_OLD},
    "simulated 5": _NO_BYTES,
    "embedded": {
        "sessions": "it keeps none, and may not serve a client again that wants one (amqtt 0.12)",
        "persistence": "it keeps nothing on disk",
        "rules": "it has no access rules",
        "mqtt5": "it speaks MQTT 3.1.1 alone",
        "size": "it has no limit of size",
    },
    "mosquitto": _OLD,
    "mosquitto 5": {},
    "mosquitto TLS": {},
    "mosquitto WebSocket": {},
}
"""By broker, the capabilities that are missing, and why. A behaviour that needs one is not applicable there."""


def asks(broker: str, behaviour: Behaviour) -> bool:
    """Tell whether a broker is asked: one that only wears another transport, for what that may change."""
    return behaviour.transport or broker not in ("mosquitto TLS", "mosquitto WebSocket")


def expected(broker: str, behaviour: Behaviour) -> Outcome:
    """Say what is known of a broker of ours."""
    for need in behaviour.needs:
        if need in LACKS[broker]:
            return Outcome(Verdict.NOT_APPLICABLE, LACKS[broker][need])
    difference = known(broker, behaviour)
    return Outcome(Verdict.NO, difference.instead) if difference else Outcome(Verdict.YES)


def known(broker: str, behaviour: Behaviour) -> Difference | None:
    """Give the difference that is known of a broker, if one is."""
    rows = DIFFERENCES.get(broker, ())
    return next((difference for difference in rows if difference.behaviour == behaviour.says), None)
