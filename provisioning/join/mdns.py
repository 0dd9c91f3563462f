"""Found without a name or an address: the server tells the local network that it is there, and nodes listen.

What is heard is worth nothing by itself: anybody may say anything on a local network. A node picks what claims to be
of its cell, and then holds it against the fingerprint of its token like any other server.

References
----------
.. [1] RFC 6762, "Multicast DNS"; RFC 6763, "DNS-Based Service Discovery".
.. [2] IANA, Service Name and Transport Protocol Port Number Registry: ``secure-mqtt`` is MQTT over TLS. ``mqtt`` would
   promise MQTT without TLS, which no broker of a provisioned cell offers beyond loopback.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import queue
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from becomingone.errors import MissingLibraryError, ProvisioningError
from becomingone.provisioning.join.client import Endpoint, UnreachableError
from becomingone.provisioning.join.token import FINGERPRINT_BYTES, JoinToken

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, Zeroconf

JOIN_TYPE: Final = "_becomingone._tcp.local."
BROKER_TYPE: Final = "_secure-mqtt._tcp.local."

LISTEN_S: Final = 8.0
"""Seconds for which a node listens: three queries, 1 s and 2 s apart (RFC 6762, 5.2), and what comes late."""

_RESOLVE_MS: Final = 2000
_LONGEST_CELL: Final = 50


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a server says of itself.

    Parameters
    ----------
    cell : str
        The cell's name.
    fingerprint : str
        The authority's, SHA-256, 64 hexadecimal digits.
    port : int
        The enrolment server's.
    broker : tuple of (str, int), optional
        The broker's first name or address, and its port for MQTT over TLS.
    """

    cell: str
    fingerprint: str
    port: int
    broker: tuple[str, int] | None = None

    @property
    def short(self) -> str:
        """What tells this cell from another of the same name."""
        return self.fingerprint[:8]

    @property
    def name(self) -> str:
        """What people see; one label of at most 63 bytes (RFC 6763, 4.1.1)."""
        return f"{self.cell[:_LONGEST_CELL]}-{self.short}"

    @property
    def texts(self) -> dict[str, str]:
        """The TXT record (RFC 6763, 6)."""
        return {"v": "1", "cell": self.cell, "ca": _base32(bytes.fromhex(self.fingerprint)[:FINGERPRINT_BYTES])}


def avahi_service(announcement: Announcement) -> str:
    """Write the same for avahi-daemon (avahi.service(5)), for a machine where that does the announcing."""
    services = [("_becomingone._tcp", announcement.port, announcement.texts)]
    if announcement.broker is not None:
        services.append(("_secure-mqtt._tcp", announcement.broker[1], {"cell": announcement.cell}))
    lines = [
        '<?xml version="1.0" standalone="no"?>',
        '<!DOCTYPE service-group SYSTEM "avahi-service.dtd">',
        "<service-group>",
        f"  <name>{escape(announcement.name)}</name>",
    ]
    for kind, port, texts in services:
        lines += ["  <service>", f"    <type>{kind}</type>", f"    <port>{port}</port>"]
        lines += [f"    <txt-record>{escape(f'{key}={value}')}</txt-record>" for key, value in texts.items()]
        lines.append("  </service>")
    return "\n".join([*lines, "</service-group>"]) + "\n"


@contextmanager
def announced(announcement: Announcement, addresses: Sequence[str] = ()) -> Generator[None]:
    """Announce a server for as long as the context lasts.

    Parameters
    ----------
    announcement : Announcement
        What to say.
    addresses : sequence of str, optional
        Where the server listens; by default on all of this machine's addresses.

    Raises
    ------
    MissingLibraryError
        zeroconf is not installed.
    ProvisioningError
        There is no network to speak on, or somebody else has the name.
    """
    _check_library()
    from zeroconf import Error as NameTakenError  # noqa: PLC0415 - optional
    from zeroconf import ServiceInfo  # noqa: PLC0415

    own = list(addresses) or _own_addresses()
    name = announcement.name
    # A host name of its own: the machine's is avahi's to announce, which would take a second for somebody else's.
    server = f"becomingone-join-{announcement.short}.local."
    infos = [
        ServiceInfo(
            JOIN_TYPE,
            f"{name}.{JOIN_TYPE}",
            port=announcement.port,
            properties=announcement.texts,
            server=server,
            parsed_addresses=own,
        )
    ]
    if announcement.broker is not None:
        infos.append(_broker_info(name, announcement.cell, *announcement.broker))
    with _zeroconf(addresses) as spoken:
        try:
            for info in infos:
                spoken.register_service(info)
        except NameTakenError as error:
            msg = f"{name} is announced by another program already, such as avahi-daemon: {type(error).__name__}"
            raise ProvisioningError(msg) from error
        try:
            yield
        finally:
            spoken.unregister_all_services()


def find(token: JoinToken, *, listen_s: float = LISTEN_S, interfaces: Sequence[str] = ()) -> list[Endpoint]:
    """Find the enrolment servers that claim to be of a token's cell.

    Parameters
    ----------
    token : JoinToken
        Whose fingerprint they must give.
    listen_s : float, optional
        Seconds to listen at most; the first that is found ends it.
    interfaces : sequence of str, optional
        Addresses of this machine on whose networks to listen; by default all.

    Returns
    -------
    list of Endpoint
        A server's addresses, IPv4 before IPv6.

    Raises
    ------
    MissingLibraryError
        zeroconf is not installed.
    UnreachableError
        Nobody has answered.
    """
    _check_library()
    from zeroconf import ServiceBrowser, ServiceStateChange  # noqa: PLC0415 - optional

    heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def on_change(name: str, state_change: ServiceStateChange, **_others: object) -> None:
        if state_change is not ServiceStateChange.Removed:
            heard.put(name)

    end = time.monotonic() + listen_s
    others = 0
    with _zeroconf(interfaces) as spoken:
        browser = ServiceBrowser(spoken, JOIN_TYPE, handlers=[on_change])
        try:
            while (left := end - time.monotonic()) > 0:
                try:
                    name = heard.get(timeout=left)
                except queue.Empty:
                    break
                info = spoken.get_service_info(JOIN_TYPE, name, timeout=_RESOLVE_MS)
                if info is None:
                    continue
                if found := _endpoints(info, token):
                    return found
                others += 1
        finally:
            browser.cancel()
    seen = f"; {others} of other cells have" if others else ""
    msg = f"no enrolment server of this cell has answered on the local network (mDNS){seen}: is one running there?"
    raise UnreachableError(msg)


def _endpoints(info: ServiceInfo, token: JoinToken) -> list[Endpoint]:
    claimed = (info.properties or {}).get(b"ca") or b""
    try:
        fingerprint = base64.b32decode(claimed.upper())
    except (binascii.Error, ValueError):
        return []
    if not token.trusts(fingerprint) or not info.port:
        return []
    addresses = sorted(info.parsed_scoped_addresses(), key=lambda address: ":" in address)
    return [Endpoint(address, info.port) for address in addresses]


def _broker_info(name: str, cell: str, host: str, port: int) -> ServiceInfo:
    from zeroconf import ServiceInfo  # noqa: PLC0415 - optional

    try:
        addresses, server = [str(ipaddress.ip_address(host))], f"becomingone-broker-{name}.local."
    except ValueError:
        addresses, server = [], f"{host}."  # whose address that host announces, or a name server knows
    return ServiceInfo(
        BROKER_TYPE,
        f"{name}.{BROKER_TYPE}",
        port=port,
        properties={"cell": cell},
        server=server,
        parsed_addresses=addresses,
    )


def _own_addresses() -> list[str]:
    """Give this machine's addresses that others can reach."""
    from ifaddr import get_adapters  # noqa: PLC0415 - comes with zeroconf

    found = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for adapter in get_adapters() for ip in adapter.ips]
    parsed = [ipaddress.ip_address(one) for one in found]
    return [str(one) for one in parsed if not one.is_loopback and not one.is_link_local]


@contextmanager
def _zeroconf(interfaces: Sequence[str]) -> Generator[Zeroconf]:
    from zeroconf import InterfaceChoice, Zeroconf  # noqa: PLC0415 - optional

    try:
        spoken = Zeroconf(interfaces=list(interfaces) or InterfaceChoice.All)
    except OSError as error:
        raise UnreachableError(f"there is no network to ask on: {error.strerror or error}") from error
    try:
        yield spoken
    finally:
        spoken.close()


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode("ascii").rstrip("=").lower()


def _check_library() -> None:
    try:
        import zeroconf  # noqa: F401, PLC0415 # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        msg = (
            "finding servers on the local network takes zeroconf: sudo apt install python3-zeroconf, "
            "or pip install 'becomingone[mdns]'; or give the server's address: --url https://HOST"
        )
        raise MissingLibraryError(msg) from error
