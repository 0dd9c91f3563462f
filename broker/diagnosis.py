"""What a broker's refusal or an end without a reason probably comes of, added to the line that people read."""

from __future__ import annotations

from typing import Final

from becomingone.broker.reasons import ConnectionFailedError, Reason
from becomingone.broker.settings import BrokerSettings
from becomingone.scheduling import NANOSECONDS

SHORT_LIVED: Final = 3
"""Connections that the broker ended soon after it had accepted them, one after the other, after which we say so."""

SOON_NS: Final = NANOSECONDS
"""How soon."""

LARGE: Final = 65_536
"""Bytes of a message that is suspected when the connection ends just after it."""


class Diagnosis:
    """Explains the ends of one link's connections.

    Parameters
    ----------
    client_id : str
        The MQTT client identifier.
    settings : BrokerSettings
        What was configured.
    """

    def __init__(self, client_id: str, settings: BrokerSettings) -> None:
        self._client_id = client_id
        self._settings = settings
        self._short_lived = 0

    def unreached(self) -> None:
        """Take note that nobody was there: a broker that comes and goes is no sign of a twin."""
        self._short_lived = 0

    def of_refusal(self, reason: Reason) -> str:
        """Give what to look at when the broker has refused the connection, as the end of a line."""
        settings = self._settings
        if reason is Reason.CREDENTIALS and settings.username is None and settings.certificate is None:
            return "; broker.username and broker.password, or broker.certificate and broker.key, are not set"
        if reason is Reason.CREDENTIALS:
            who = settings.username or f"the certificate {settings.certificate}"
            return f"; are {who} and the password right, and may it use the client id {self._client_id}?"
        if reason is Reason.VERSION:
            return f"; broker.protocol is {settings.protocol}"
        if reason is Reason.CLIENT_ID:
            return f"; the client id is {self._client_id}"
        return ""

    def of_silence(self, failure: ConnectionFailedError) -> ConnectionFailedError:
        """Explain the end of a connection on which CONNECT was not answered."""
        if failure.reason is not Reason.BROKEN:
            return failure
        text = "the broker closed the connection on CONNECT"
        if not self._settings.tls:
            text += "; does it want TLS on this port?"
        return ConnectionFailedError(Reason.BROKEN, f"{self._settings.address}: {text}")

    def of_end(
        self, failure: ConnectionFailedError, lasted_ns: int, largest: tuple[int, str, int] | None, now_ns: int
    ) -> ConnectionFailedError:
        """Explain the end of a connection that had been accepted.

        Parameters
        ----------
        failure : ConnectionFailedError
            What is known of it.
        lasted_ns : int
            How long the connection stood.
        largest : tuple, optional
            The largest message on it that is not known to be taken: bytes, topic, and when it was sent.
        now_ns : int
            The time.
        """
        if failure.reason is Reason.TAKEN_OVER:
            return ConnectionFailedError(failure.reason, f"{failure.line}; {self._twin()}")
        if failure.reason is not Reason.BROKEN:
            return failure
        self._short_lived = self._short_lived + 1 if lasted_ns < SOON_NS else 0
        if largest is not None and largest[0] >= LARGE and now_ns - largest[2] < SOON_NS:
            text = f" just after a message of {largest[0]} bytes to {largest[1][:200]}; does the broker take such?"
            return ConnectionFailedError(Reason.BROKEN, failure.line + text)
        if self._short_lived >= SHORT_LIVED:
            text = f", again and again, soon after it was accepted; {self._twin()}"
            return ConnectionFailedError(Reason.UNSTABLE, failure.line + text)
        return failure

    def _twin(self) -> str:
        return f"does another client call itself {self._client_id}?"
