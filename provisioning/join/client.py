"""Speaks to an enrolment server: with the standard library alone, for a Pi Zero has nothing to spare.

Two connections: one that trusts nobody, in which the authority's certificate is fetched and held against the token's
fingerprint; and one that trusts this authority and nothing else, in which the token is sent.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from pydantic import SecretStr

from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.join.messages import (
    AUTHORITY_PATH,
    ENROL_PATH,
    MOST_ANSWER,
    MOST_AUTHORITY,
    PORT,
    SERVER_NAME,
    Admission,
    Refused,
    Request,
    Waiting,
    read_answer,
)
from becomingone.provisioning.join.tls import authority_of, check_ends, trusted_context, unverified_context
from becomingone.provisioning.join.token import JoinToken, grouped

CONNECT_S: Final = 5.0
"""Seconds for a TCP connection."""

EXCHANGE_S: Final = 30.0
"""Seconds for everything that is said in one connection; a Pi Zero takes about 2 of them for its cryptography."""


class UnreachableError(ProvisioningError):
    """Nobody answers there, or not to the end: it may be otherwise in a moment."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is.

    Parameters
    ----------
    host : str
        A name or an address.
    port : int
        TCP.
    """

    host: str
    port: int = PORT

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """Read ``https://attic.local``, with ``:port`` where it is another than `PORT`.

        Raises
        ------
        ConfigError
            It is no such URL.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), 0
        path = parts.path + parts.query + parts.fragment
        if parts.scheme != "https" or not parts.hostname or port == 0 or path not in ("", "/") or "@" in parts.netloc:
            msg = f"must be https://HOST or https://HOST:PORT, the enrolment server's, not {url!r}"
            raise ConfigError(msg)
        return cls(parts.hostname, port or PORT)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class EnrolmentClient:
    """One node's talk with one server.

    Parameters
    ----------
    endpoint : Endpoint
        Where it is.
    token : JoinToken
        What the node has.
    now : callable
        Tells the time by this machine's clock, in UTC.
    authority : x509.Certificate, optional
        The cell's, where it is known from before.
    exchange_s : float, optional
        Seconds for one connection.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        token: JoinToken,
        *,
        now: Callable[[], datetime],
        authority: x509.Certificate | None = None,
        exchange_s: float = EXCHANGE_S,
    ) -> None:
        self._endpoint = endpoint
        self._token = token
        self._now = now
        self._exchange_s = exchange_s
        self._authority = authority

    @property
    def authority(self) -> x509.Certificate:
        """The cell's authority, fetched once and known by its fingerprint.

        Raises
        ------
        UnreachableError
            Nobody answers.
        ProvisioningError
            It is another cell's.
        """
        if self._authority is None:
            with self._connection(unverified_context()) as connection:
                connection.request("GET", AUTHORITY_PATH)
                status, pem, _ = _answer(connection, MOST_AUTHORITY)
            if status in (429, 503):
                raise UnreachableError(f"{self._endpoint} is busy")
            self._authority = authority_of(pem, self._token, str(self._endpoint))
        return self._authority

    def ask(self, csr: bytes) -> tuple[Admission | Waiting | Refused, float]:
        """Ask to be admitted.

        Parameters
        ----------
        csr : bytes
            The certificate request, PEM.

        Returns
        -------
        outcome : Admission, Waiting or Refused
            What the server says.
        retry_s : float
            Seconds that it wants to be left alone for; 0 where it has not said.

        Raises
        ------
        UnreachableError
            Nobody answers, or the answer breaks off.
        ProvisioningError
            What answers is not this cell's enrolment server.
        """
        secret = SecretStr(grouped(self._token.secret))
        body = Request(node=self._token.node, token=secret, csr=csr.decode("ascii")).model_dump_json()
        with self._connection(trusted_context(self.authority)) as connection:
            self._check_time(connection)
            connection.request("POST", ENROL_PATH, body.encode("ascii"), {"Content-Type": "application/json"})
            status, answer, retry_s = _answer(connection, MOST_ANSWER)
        return read_answer(status, answer), retry_s

    def _check_time(self, connection: http.client.HTTPConnection) -> None:
        der = connection.sock.getpeercert(binary_form=True) if isinstance(connection.sock, ssl.SSLSocket) else None
        if der is None:
            raise ProvisioningError(f"{self._endpoint} has shown no certificate")
        check_ends(der, self._now(), str(self._endpoint))

    @contextmanager
    def _connection(self, context: ssl.SSLContext) -> Generator[http.client.HTTPConnection]:
        where = self._endpoint
        try:
            plain = socket.create_connection((where.host, where.port), CONNECT_S)
        except socket.gaierror as error:
            msg = f"{where.host} is not known here ({error.strerror}): is the name right, and is there a network?"
            raise UnreachableError(msg) from error
        except OSError as error:
            raise UnreachableError(f"{where} cannot be reached: {error.strerror or error}") from error
        plain.settimeout(self._exchange_s)
        try:
            tls = context.wrap_socket(plain, server_hostname=SERVER_NAME, do_handshake_on_connect=False)
        except OSError as error:
            plain.close()
            raise UnreachableError(f"{where} has hung up at once: it may have too much to do") from error
        connection = http.client.HTTPConnection(SERVER_NAME)
        connection.sock = tls
        # Timeouts of single reads could be stretched for ever by a byte now and then: the whole has an end.
        alarm = threading.Timer(self._exchange_s, _cut, [tls])
        alarm.daemon = True
        alarm.start()
        try:
            tls.do_handshake()
            yield connection
        except ssl.SSLCertVerificationError as error:
            msg = (
                f"{where} is not the enrolment server of your cell, or somebody is in between: "
                f"{error.verify_message}; nothing was sent"
            )
            raise ProvisioningError(msg) from error
        except (OSError, http.client.HTTPException) as error:
            what = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UnreachableError(f"{where} does not answer as it should: {what}") from error
        finally:
            alarm.cancel()
            connection.close()
            tls.close()


def _answer(connection: http.client.HTTPConnection, longest: int) -> tuple[int, bytes, float]:
    response = connection.getresponse()
    body = response.read(longest + 1)
    if len(body) > longest:
        raise ProvisioningError(f"the server's answer is longer than {longest} bytes: it is no enrolment server")
    length = response.getheader("Content-Length")
    if length is None or length != str(len(body)):
        raise http.client.IncompleteRead(body)
    return response.status, body, _seconds(response.getheader("Retry-After"))


def _seconds(text: str | None) -> float:
    return float(min(int(text), 3600)) if text is not None and text.isdecimal() else 0.0


def _cut(tls: ssl.SSLSocket) -> None:
    try:
        socket.socket.shutdown(tls, socket.SHUT_RDWR)  # below TLS: its own shutdown takes the state from under a read
    except OSError:
        return  # it has ended by itself
