"""``provision join``: this machine becomes a node."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from becomingone.cli.exits import Exit
from becomingone.config.loader import read_layers, validated
from becomingone.errors import ConfigError, ProvisioningError
from becomingone.node.config import NodeConfig
from becomingone.provisioning.join.client import Endpoint
from becomingone.provisioning.join.join_file import MDNS, JoinFile, read_join_file
from becomingone.provisioning.join.joining import Join, Patience, joined
from becomingone.provisioning.join.machine import Machine
from becomingone.provisioning.join.mdns import find
from becomingone.provisioning.join.token import JoinToken

_LONGEST_TOKEN = 1024


def join(arguments: argparse.Namespace) -> int:
    """Join, or find that it is done."""
    machine = Machine(arguments.root)
    wanted, file = _wanted(arguments, machine)
    if wanted is None:
        return _already(machine, None, as_json=arguments.json)
    token = wanted.join_token
    with _alone(machine):
        if machine.knows(token) and joined(machine) == token.node:
            return _already(machine, file, as_json=arguments.json)
        certificate = Join(
            machine,
            token,
            _finder(wanted, token),
            now=_now,
            patience=Patience(time.sleep, time.monotonic, arguments.wait),
            tell=lambda line: print(line, file=sys.stderr, flush=True),
            check=lambda config: _check(config, machine),
        ).run()
        machine.forget_token(file)
    if arguments.json:
        serial = f"{certificate.serial_number:040x}"
        print(json.dumps({"node": token.node, "serial": serial, "config": str(machine.config)}))
    else:
        print(f"joined as {token.node}: {machine.config} and what it names are there")
    return Exit.DONE


def _wanted(arguments: argparse.Namespace, machine: Machine) -> tuple[JoinFile | None, Path | None]:
    """Find what to join with; None where there is nothing to do."""
    given = [name for name in ("token", "token_file", "config") if getattr(arguments, name) is not None]
    if len(given) > 1:
        raise ConfigError("one of --token, --token-file and --config, not several")
    if arguments.token is not None or arguments.token_file is not None:
        text = arguments.token if arguments.token is not None else _token_text(arguments.token_file)
        JoinToken.read(text)
        _check_url(arguments.url)
        own = machine.join_config if machine.join_config.exists() else None
        return JoinFile.model_validate({"token": text, "url": arguments.url or MDNS}), own
    path = arguments.config or machine.join_config
    if not path.exists() and arguments.config is None:
        return None, None
    read = read_join_file(path)
    if arguments.url is not None:
        _check_url(arguments.url)
        read = read.model_copy(update={"url": arguments.url})
    return read, path


def _check_url(url: str | None) -> None:
    try:
        _ = url is None or url == MDNS or Endpoint.of(url)
    except ConfigError as error:
        raise ConfigError(f"--url: {error}") from error


def _already(machine: Machine, file: Path | None, *, as_json: bool) -> int:
    node = joined(machine)
    if node is None:
        msg = f"{machine.join_config}: there is no such file, and this machine has not joined: give --token-file FILE"
        raise ConfigError(msg)
    machine.forget_token(file)  # a power cut may have come between the token's end and that of what was kept for it
    print(json.dumps({"node": node, "config": str(machine.config)}) if as_json else f"has joined as {node} already")
    return Exit.DONE


def _token_text(path: Path) -> str:
    try:
        if str(path) == "-":
            return sys.stdin.readline(_LONGEST_TOKEN)
        with path.open("r", encoding="utf-8") as file:
            return file.readline(_LONGEST_TOKEN)
    except (OSError, UnicodeDecodeError) as error:
        msg = f"--token-file: {path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ConfigError(msg) from error


def _finder(wanted: JoinFile, token: JoinToken) -> Callable[[], Sequence[Endpoint]]:
    if wanted.url == MDNS:
        return lambda: find(token)
    endpoint = Endpoint.of(wanted.url)
    return lambda: [endpoint]


def _check(config: str, machine: Machine) -> None:
    """Refuse a configuration that the node of this release, on this machine, would refuse."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("node_key", "hub_public_key"):
            (Path(folder) / name).write_text(bytes(range(32)).hex(), "ascii")
        environ = {"CREDENTIALS_DIRECTORY": folder}
        layers = read_layers(machine.config, raw=config.encode("utf-8"), environ=environ)
        # A device that is not there yet is the node's to tell; what the file itself says must hold.
        read = validated(NodeConfig, layers, context={"device_faults": "all"})
    expected = {"ca": "ca.crt", "certificate": "node.crt"}
    for field, name in expected.items():
        path = getattr(read.broker, field)
        if path != Path("/etc/becomingone/tls") / name:
            msg = f"broker.{field}: is {path}, and a machine that joins has it at /etc/becomingone/tls/{name}"
            raise ConfigError(msg)


@contextlib.contextmanager
def _alone(machine: Machine) -> Generator[None]:
    """Keep a second join on this machine out."""
    folder = machine.join_config.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        msg = f"{folder} cannot be made: {error.strerror or error}; run this as root"
        raise ProvisioningError(msg) from error
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProvisioningError("this machine is joining already, in another process") from None
        yield
    finally:
        os.close(opened)


def _now() -> datetime:
    return datetime.now(UTC)
