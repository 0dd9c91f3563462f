"""What a card's machine is to be: from the command line, the inventory, and files of the operator."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError

from becomingone.cli.hardware import hardware_of
from becomingone.config.loader import load
from becomingone.errors import ConfigError, TopicError
from becomingone.provisioning.cards.first_boot import INTERFACES, FirstBoot, Installed, Interface, ssh_keys
from becomingone.provisioning.cards.payload import UNIT, identity_payload, software_payload, token_payload
from becomingone.provisioning.cards.wifi import Wifi
from becomingone.provisioning.inventory.devices_of import fit
from becomingone.provisioning.inventory.document import read_tree
from becomingone.provisioning.inventory.hosts import interfaces
from becomingone.provisioning.inventory.mesh_file import Machine, MeshFile, load_mesh
from becomingone.wire.topics import check_name

_KEYS: Final = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")
_LONGEST_TOKEN: Final = 1024


def first_boot(arguments: argparse.Namespace, token_bytes: Callable[[int], bytes]) -> FirstBoot:
    """Gather everything, before anything is written.

    Raises
    ------
    ConfigError
        Something is missing or wrong.
    """
    folder, node = cast("Path", arguments.cell_dir), cast("str", arguments.node)
    try:
        check_name(node, "--node:")
    except TopicError as error:
        raise ConfigError(str(error)) from error
    path = folder / "mesh.yaml"
    mesh = load_mesh(path) if path.exists() else None
    machine = _machine(mesh, path, node)
    wanted = arguments.interfaces if arguments.interfaces is not None else _needed(mesh, path, machine)
    payload = _payload(arguments, folder, node, is_node=mesh is None or node in mesh.nodes)
    if arguments.wheel is not None:
        payload += software_payload(arguments.wheel, node)
    return FirstBoot(
        hostname=arguments.hostname or (_host_name(machine) if machine is not None else node),
        user=arguments.user or (machine.user if machine is not None else "pi"),
        ssh_keys=ssh_keys(arguments.ssh_key or _own_key()),
        instance_id=f"becomingone-{node}-{token_bytes(8).hex()}",
        interfaces=_known(wanted),
        wifi=_wifi(arguments),
        timezone=arguments.timezone,
        locale=arguments.locale,
        payload=payload,
        software=UNIT if arguments.wheel is not None else None,
    )


def _machine(mesh: MeshFile | None, path: Path, node: str) -> Machine | None:
    if mesh is None:
        return None
    if node in mesh.nodes:
        return mesh.machine_of(node)
    if node in mesh.computers:
        return mesh.computers[node]
    known = sorted({*mesh.nodes, *mesh.computers})
    raise ConfigError(f"--node: {path} has no node or machine {node!r}; it has {', '.join(known[:20])}")


def _host_name(machine: Machine) -> str:
    """Take the name that the operator reaches it by, so that it is found there; a number is none."""
    first, _, rest = machine.address.partition(".")
    return first if re.search("[a-z]", first) and ":" not in rest else machine.name


def _needed(mesh: MeshFile | None, path: Path, machine: Machine | None) -> list[str]:
    """Name what the devices of all nodes on a machine need."""
    if mesh is None or machine is None:
        return []
    nodes = {node for node in mesh.nodes if mesh.machine_name(node) == machine.name}
    drop_in = path.parent / mesh.drop_in if mesh.drop_in is not None else None
    fitted, problems = fit(read_tree(path).root, drop_in, hardware_of)
    bad = [problem for problem in problems if problem.keys[:1] == ("nodes",) and set(problem.keys[1:2]) & nodes]
    if bad:
        raise ConfigError(f"{bad[0]} (becomingone provision check {path} tells everything)")
    return interfaces([device for device in fitted if device.node in nodes])


def _known(wanted: list[str]) -> tuple[Interface, ...]:
    unknown = [name for name in wanted if name not in INTERFACES]
    if unknown:
        raise ConfigError(f"--interfaces: {', '.join(unknown)}: must be among {', '.join(INTERFACES)}")
    return tuple(name for name in INTERFACES if name in wanted)


def _own_key() -> Path:
    # Under sudo the key that is meant is the person's, not root's.
    person = os.environ.get("SUDO_USER")
    folder = Path(f"~{person}" if person else "~").expanduser() / ".ssh"
    found = next((folder / name for name in _KEYS if (folder / name).exists()), None)
    if found is None:
        raise ConfigError(f"--ssh-key: there is no public key in {folder}: give one (ssh-keygen -t ed25519 makes one)")
    return found


def _wifi(arguments: argparse.Namespace) -> Wifi | None:
    if arguments.wifi_file is not None:
        path = cast("Path", arguments.wifi_file)
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise ConfigError(f"--wifi-file: {path}: {error.strerror or error}") from error
        if mode & 0o077:
            raise ConfigError(f"--wifi-file: {path} has a password, and others may read it: chmod 600 {path}")
        return load(Wifi, path, environ=os.environ)
    if not arguments.wifi:
        return None
    if not sys.stdin.isatty():
        raise ConfigError("--wifi asks on a terminal, and there is none: --wifi-file FILE")
    told: dict[str, Any] = {"ssid": _asked("name of the wireless network: ")}
    password = getpass.getpass("its password (empty: it is open): ")
    told |= {"password": password} if password else {"security": "open"}
    told["country"] = _asked("country in which it is used (GB): ").upper()
    try:
        return Wifi.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "network"
        raise ConfigError(f"--wifi: {where}: {first['msg'].removeprefix('Value error, ')}") from None


def _asked(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _payload(arguments: argparse.Namespace, folder: Path, node: str, *, is_node: bool) -> tuple[Installed, ...]:
    if arguments.join_url is not None and arguments.token_file is None:
        raise ConfigError("--join-url: says where a token is shown: it needs --token-file")
    if (arguments.identity or arguments.token_file is not None) and not is_node:
        raise ConfigError(f"--node: {node} is a machine without a node: Ansible brings its identities")
    if arguments.identity:
        return _identity(folder, node)
    if arguments.token_file is not None:
        return _token(arguments.token_file, node, arguments.join_url)
    return ()


def _identity(folder: Path, node: str) -> tuple[Installed, ...]:
    from becomingone.provisioning.identities.cell_folder import open_cell  # noqa: PLC0415 - needs `cryptography`
    from becomingone.provisioning.identities.members import Members  # noqa: PLC0415
    from becomingone.provisioning.identities.subject import member  # noqa: PLC0415
    from becomingone.provisioning.join.node_files import RenderedNodes  # noqa: PLC0415

    rendered = RenderedNodes(folder / "out", folder / "secrets" / "cell.yaml")(node)
    authority, subject = open_cell(folder), member("node", node)
    members = Members(authority)
    files, issued = members.files(subject), members.current(subject)
    if issued is not None and (state := issued.state(authority.time())) in ("revoked", "expired"):
        raise ConfigError(f"--identity: the certificate of {node} is {state}: becomingone provision node {node}")
    return identity_payload(files, rendered.config, rendered.node_key)


def _token(source: str, node: str, url: str | None) -> tuple[Installed, ...]:
    from becomingone.provisioning.join.client import Endpoint  # noqa: PLC0415 - needs `cryptography`
    from becomingone.provisioning.join.token import JoinToken  # noqa: PLC0415

    try:
        if source == "-":
            text = sys.stdin.readline(_LONGEST_TOKEN)
        else:
            with Path(source).open(encoding="utf-8") as file:
                text = file.read(_LONGEST_TOKEN)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file: {source}: {getattr(error, 'strerror', None) or 'is no text'}") from error
    try:
        token = JoinToken.read(text)
    except ConfigError as error:
        raise ConfigError(f"--token-file: {error}") from None
    if token.node != node:
        raise ConfigError(f"--token-file: the token is {token.node}'s, and the card is to be {node}'s")
    if url is not None:
        Endpoint.of(url)
    return token_payload(token.text, url)
