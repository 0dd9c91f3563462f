"""Why a connection failed or broke: a fixed set of reasons to count by, each with a line that a person can act on."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from enum import StrEnum
from typing import Final

from becomingone.errors import LinkError


class Reason(StrEnum):
    """What `Metrics.failures` counts by; the line that goes with it names addresses, topics and files."""

    NAME = "name not found"
    REFUSED = "connection refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "no connection in time"
    SILENT = "no answer"
    AUTHORITY = "certificate of an unknown authority"
    VALIDITY = "certificate not valid now"
    HOST_NAME = "certificate for another host"
    IDENTITY = "client certificate refused"
    NO_TLS = "no TLS there"
    TLS = "TLS failed"
    FILES = "certificate files"
    WEBSOCKET = "no WebSocket there"
    VERSION = "MQTT version refused"
    CLIENT_ID = "client identifier refused"
    CREDENTIALS = "not authorised"
    UNAVAILABLE = "broker unavailable"
    UNSUPPORTED = "broker lacks a function"
    SUBSCRIPTION = "subscription refused"
    TAKEN_OVER = "taken over"
    TOO_LARGE = "packet too large"
    SHUTDOWN = "broker shut down"
    ENDED = "ended by the broker"
    PROTOCOL = "protocol error"
    BROKEN = "connection broke"
    UNSTABLE = "connection breaks again and again"
    MESSAGE = "message refused"
    EXPIRED = "message expired"
    TOPIC = "topic too long"

    @property
    def lasting(self) -> bool:
        """Whether trying again soon is in vain, because a person has to change something first."""
        return self in _LASTING


_LASTING: Final = {
    Reason.AUTHORITY,
    Reason.VALIDITY,
    Reason.HOST_NAME,
    Reason.IDENTITY,
    Reason.NO_TLS,
    Reason.TLS,
    Reason.FILES,
    Reason.WEBSOCKET,
    Reason.VERSION,
    Reason.CLIENT_ID,
    Reason.CREDENTIALS,
    Reason.UNSUPPORTED,
    Reason.SUBSCRIPTION,
    Reason.TAKEN_OVER,
    Reason.TOO_LARGE,
    Reason.PROTOCOL,
}

_BY_CODE: Final = {
    0x81: Reason.PROTOCOL,
    0x82: Reason.PROTOCOL,
    0x84: Reason.VERSION,
    0x85: Reason.CLIENT_ID,
    0x86: Reason.CREDENTIALS,
    0x87: Reason.CREDENTIALS,
    0x88: Reason.UNAVAILABLE,
    0x89: Reason.UNAVAILABLE,
    0x8A: Reason.CREDENTIALS,
    0x8B: Reason.SHUTDOWN,
    0x8C: Reason.CREDENTIALS,
    0x8D: Reason.SILENT,
    0x8E: Reason.TAKEN_OVER,
    0x90: Reason.MESSAGE,
    0x93: Reason.PROTOCOL,
    0x94: Reason.PROTOCOL,
    0x96: Reason.UNAVAILABLE,
    0x95: Reason.TOO_LARGE,
    0x97: Reason.UNAVAILABLE,
    0x99: Reason.MESSAGE,
    0x9A: Reason.UNSUPPORTED,
    0x9B: Reason.UNSUPPORTED,
    0x9F: Reason.UNAVAILABLE,
}
"""By the reason codes of CONNACK and DISCONNECT (MQTT 5, table 2-6)."""

# OpenSSL's names of the alerts with which a server refuses a client's certificate (RFC 8446, 6.2).
_IDENTITY_ALERTS: Final = {
    "CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_REVOKED": "it has been revoked",
    "CERTIFICATE_REQUIRED": "there is none; set broker.certificate and broker.key",
    "UNKNOWN_CA": "the broker does not know the authority that signed it",
    "BAD_CERTIFICATE": "the broker finds it bad",
    "CERTIFICATE_UNKNOWN": "the broker does not accept it",
    "UNSUPPORTED_CERTIFICATE": "it is of a kind that the broker does not support",
    "DECRYPT_ERROR": "its signature is not right",
    "ACCESS_DENIED": "the broker gives it no access",
}
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
_UNREACHABLE: Final = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}

# X509_V_ERR_… of OpenSSL's x509_vfy.h
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_OTHER_NAME: Final = {62, 64}


class ConnectionFailedError(LinkError):
    """A connection could not be made, or broke.

    Parameters
    ----------
    reason : Reason
        Under which it is counted.
    line : str
        What a person needs to know to mend it.
    """

    def __init__(self, reason: Reason, line: str) -> None:
        super().__init__(line)
        self.reason = reason
        self.line = line


def of_code(code: int) -> Reason:
    """Give the reason behind the reason code of a CONNACK or DISCONNECT of MQTT 5."""
    return _BY_CODE.get(code, Reason.ENDED)


def of_error(error: OSError, address: str) -> ConnectionFailedError:
    """Tell what an error of the operating system or of OpenSSL means.

    Parameters
    ----------
    error : OSError
        What a socket raised.
    address : str
        ``host:port`` of the broker.
    """
    if isinstance(error, ssl.SSLError):
        reason, text = _of_tls(error, address)
    elif isinstance(error, socket.gaierror):
        reason, text = Reason.NAME, f"the name cannot be resolved: {error.strerror}"
    elif isinstance(error, ConnectionRefusedError):
        reason, text = Reason.REFUSED, "Connection refused"
    elif isinstance(error, TimeoutError):
        reason, text = Reason.TIMEOUT, error.strerror or "nothing answers there"
    elif error.errno in _UNREACHABLE:
        reason, text = Reason.UNREACHABLE, error.strerror or "unreachable"
    else:
        reason, text = Reason.BROKEN, f"the connection broke: {error.strerror or error}"
    return ConnectionFailedError(reason, f"{address}: {text}")


def _of_tls(error: ssl.SSLError, address: str) -> tuple[Reason, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_verification(error, address)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Reason.BROKEN, "the broker closed the connection"
    name = error.reason or ""
    for alert, text in _IDENTITY_ALERTS.items():
        if name.endswith(alert):
            return Reason.IDENTITY, f"the broker refused this client's certificate: {text}"
    if name.endswith(_NO_TLS):
        return Reason.NO_TLS, "the broker does not speak TLS on this port; use mqtt:// or ws://, or its TLS port"
    return Reason.TLS, f"TLS failed: {name.replace('_', ' ').lower() or error}"


def _of_verification(error: ssl.SSLCertVerificationError, address: str) -> tuple[Reason, str]:
    host = address.rpartition(":")[0]
    if error.verify_code in _OTHER_NAME:
        return Reason.HOST_NAME, f"the broker's certificate is not for {host}; name the host as the certificate does"
    if error.verify_code == _EXPIRED:
        return Reason.VALIDITY, "the broker's certificate has expired"
    if error.verify_code == _NOT_YET_VALID:
        return Reason.VALIDITY, "the broker's certificate is not valid yet; is this machine's clock right?"
    what = error.verify_message
    return Reason.AUTHORITY, f"the broker's certificate is not trusted: {what}; set broker.ca to its authority's file"


def said(text: str) -> str:
    """Make what a broker has sent fit for one line of a log: printable, and at most 200 characters."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()[:200]
