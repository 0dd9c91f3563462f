"""Which version of MQTT to speak: 5 where the broker has it, and 3.1.1 otherwise."""

from __future__ import annotations

from typing import Final

from paho.mqtt.enums import MQTTProtocolVersion

from becomingone.broker.reasons import Reason
from becomingone.broker.settings import Version

_FIVE: Final = MQTTProtocolVersion.MQTTv5
_THREE: Final = MQTTProtocolVersion.MQTTv311

FIVE_TIMEOUT_S: Final = 2.0
"""Seconds that a broker may take to answer a CONNECT of MQTT 5 that is a guess: amqtt 0.12 mistakes its properties for
the length of a text and waits for the rest of that for ever."""

_PERHAPS: Final = {Reason.BROKEN, Reason.PROTOCOL}
"""How a CONNECT of MQTT 5 may end at a broker that has never heard of it, or that is just being stopped."""

_SURE_AFTER: Final = 2
"""Times that the connection ended on 5 and 3.1.1 was accepted, after which 5 is not tried any more."""


class VersionChoice:
    """Chooses the version for each connection and remembers what the broker has.

    A broker that says so is believed at once (MQTT 3.1.1, 3.2.2.3; MQTT 5, 3.2.2.2), and so is one that says nothing.
    One that just closes the connection may have been stopped at that moment: it is asked in 3.1.1, and in 5 again
    another time.

    Parameters
    ----------
    protocol : str
        See `BrokerSettings.protocol`.
    """

    def __init__(self, protocol: Version) -> None:
        self._fixed = protocol != "auto"
        self._five = protocol != "3.1.1"
        self._suspicion: Reason | None = None
        self._ended = 0

    @property
    def next(self) -> MQTTProtocolVersion:
        """The version to speak on the next connection."""
        return _FIVE if self._five else _THREE

    @property
    def guess(self) -> bool:
        """Whether another version is tried when that one is not answered."""
        return self._five and not self._fixed

    def refused(self, reason: Reason) -> bool:
        """Take note that a CONNECT was not accepted; True when the other version should be tried at once."""
        if self._fixed or not self._five:
            self.unreached()
            return False
        if reason not in (Reason.VERSION, Reason.SILENT) and reason not in _PERHAPS:
            return False
        self._five = False
        self._suspicion = None if reason is Reason.VERSION else reason
        return True

    def accepted(self) -> None:
        """Take note that a CONNECT was accepted."""
        if self._suspicion in _PERHAPS:
            self._ended += 1
            self._five = self._ended < _SURE_AFTER
        self._suspicion = None

    def unreached(self) -> None:
        """Take note that the broker was not there, so that nothing is known of it."""
        if self._suspicion is not None:
            self._suspicion = None
            self._five = True
