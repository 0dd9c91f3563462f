"""``provision serve``: the enrolment server, as a process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from becomingone.cli import process
from becomingone.cli.exits import Exit
from becomingone.cli.provision.passphrase import passphrase_of
from becomingone.errors import ConfigError, MissingLibraryError, ProvisioningError
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.cell_folder import SECRETS, open_cell
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.inventory.mesh_file import load_mesh
from becomingone.provisioning.join.enrolment import Enrolment
from becomingone.provisioning.join.mdns import Announcement, announced, avahi_service
from becomingone.provisioning.join.node_files import RenderedNodes
from becomingone.provisioning.join.server import EnrolmentServer
from becomingone.provisioning.join.tls import ServerIdentity
from becomingone.provisioning.join.token_file import TokenFile

_LOG = logging.getLogger(__name__)


def serve(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    folder: Path = arguments.cell_dir
    authority = open_cell(folder, passphrase=passphrase_of(arguments, os.environ), now=_now)
    host, port = arguments.listen
    announcement = Announcement(authority.cell, authority.fingerprint, port, _broker(folder))
    if arguments.avahi_service:
        sys.stdout.write(avahi_service(announcement))
        return Exit.DONE
    process.set_up_logging("DEBUG" if arguments.debug else "INFO")
    if os.geteuid() == 0:
        _LOG.warning("runs as root: give it a user of its own, to whom the cell's folder belongs")
    authority.unlock()
    identity = ServerIdentity(Members(authority), _now)
    identity.context()
    secrets = folder / SECRETS
    enrolment = Enrolment(
        TokenFile(secrets / "tokens.yaml"),
        authority,
        RenderedNodes(folder / "out", secrets / "cell.yaml"),
        secrets / "enrolments.jsonl",
        now=_now,
        days=arguments.days,
    )
    listener = _listener(host, port)
    server = EnrolmentServer(enrolment, authority.certificate_pem, identity.context)
    port = listener.getsockname()[1]
    announcement = Announcement(authority.cell, authority.fingerprint, port, announcement.broker)
    with contextlib.ExitStack() as stack:

        def announce() -> None:
            if not arguments.no_mdns:
                _announce(stack, announcement, [host] if host else [])

        return asyncio.run(_serve(server, listener, announce, authority, stop_with_stdin=arguments.stop_with_stdin))


async def _serve(
    server: EnrolmentServer,
    listener: socket.socket,
    announce: Callable[[], None],
    authority: Authority,
    *,
    stop_with_stdin: bool,
) -> int:
    loop = asyncio.get_running_loop()
    serving = loop.create_task(server.serve(listener))
    stop = loop.create_task(process.stop_signal(loop, or_end_of_stdin=stop_with_stdin))
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    short = authority.fingerprint[:16]
    _LOG.info("enrolment for the cell %s on https://%s:%d, authority %s...", authority.cell, shown, port, short)
    await asyncio.to_thread(announce)  # which asks around for seconds whether the name is free
    await asyncio.wait([serving, stop], return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, stop):
        task.cancel()
    results = await asyncio.gather(serving, stop, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return Exit.DONE


def _announce(stack: contextlib.ExitStack, announcement: Announcement, addresses: list[str]) -> None:
    try:
        stack.enter_context(announced(announcement, addresses))
    except (MissingLibraryError, ProvisioningError, OSError) as error:
        # Who is given the address can join all the same.
        _LOG.warning("not announced on the local network: %s", error)


def _listener(host: str, port: int) -> socket.socket:
    """Open the port: on one address, or on all, IPv4 and IPv6 alike."""
    try:
        if host:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        elif socket.has_dualstack_ipv6():
            family, address = socket.AF_INET6, ("::", port)
        else:
            family, address = socket.AF_INET, ("0.0.0.0", port)  # noqa: S104 - it is for other machines
        return socket.create_server(
            (str(address[0]), port), family=family, dualstack_ipv6=not host and family == socket.AF_INET6
        )
    except OSError as error:
        msg = f"--listen: cannot listen on {host or 'any address'}, port {port}: {error.strerror or error}"
        raise ConfigError(msg) from error


def _broker(folder: Path) -> tuple[str, int] | None:
    path = folder / "mesh.yaml"
    if not path.exists():
        return None
    broker = load_mesh(path).broker
    return broker.names[0], broker.port


def _now() -> datetime:
    return datetime.now(UTC)
