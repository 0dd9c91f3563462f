"""Writes the systemd service that runs a node, shut in as far as its hardware allows."""

from __future__ import annotations

import grp
import pwd
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from becomingone.cli.hardware import HARDWARE
from becomingone.errors import ConfigError
from becomingone.node.config import NodeConfig

RELOADING: Final = 253
"""The first systemd with ``Type=notify-reload``."""

STATE: Final = Path("/var/lib")
CREDENTIALS: Final = Path("/run/credentials")
_HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))

_SANDBOX: Final = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
PrivateTmp=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
"""

_LIMITS: Final = """\
# In vain where the kernel counts no memory (Raspberry Pi OS: add cgroup_enable=memory to cmdline.txt).
MemoryMax=256M
TasksMax=128
LimitNOFILE=1024
LimitCORE=0
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is to run.

    Parameters
    ----------
    python : Path
        The interpreter.
    package : Path
        The folder that holds ``becomingone``.
    search_path : str
        ``PYTHONPATH``, where the interpreter finds the package by that only; else empty.
    systemd : int
        The version.
    """

    python: Path
    package: Path
    search_path: str
    systemd: int


def unit(
    config: NodeConfig,
    path: Path,
    *,
    overrides: Sequence[str],
    names: Sequence[str],
    hardware: Sequence[str],
    user: str | None,
    place: Place,
) -> str:
    """Write a service.

    Parameters
    ----------
    config, path, overrides : NodeConfig, Path, sequence of str
        The node's configuration, its file, and what is laid over it.
    names : sequence of str
        Its secrets.
    hardware : sequence of str
        Keys of `HARDWARE`.
    user : str or None
        Who runs it; None: a user that systemd makes for it.
    place : Place
        Where it is to run.

    Raises
    ------
    ConfigError
        It could not run there: a file that it could not read, a folder that it could not write.
    """
    _check_readable([place.python, place.package, path], user)
    words = [str(place.python), "-P", "-m", "becomingone", "node", "run", str(path)]
    words += [word for override in overrides for word in ("--set", override)]
    home = any(file.is_relative_to(folder) for file in (place.python, place.package, path) for folder in _HOMES)
    reload = ["Type=notify-reload"] if place.systemd >= RELOADING else ["Type=notify", "ExecReload=kill -HUP $MAINPID"]
    lines = [
        f"# /etc/systemd/system/becomingone-{config.node}.service, made by: becomingone node unit",
        "[Unit]",
        f"Description=BecomingONE node {config.node}",
        "After=network.target sound.target",
        "# Never give up for good.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        *reload,
        f"ExecStart={' '.join(map(_quoted, words))}",
        *([f"Environment={_quoted(f'PYTHONPATH={place.search_path}')}"] if place.search_path else []),
        "Environment=PYTHONUNBUFFERED=1 OPENBLAS_NUM_THREADS=1",
        "Restart=always",
        "RestartSec=10",
        "WatchdogSec=30",
        "TimeoutStartSec=180",
        "TimeoutStopSec=10",
        "TimeoutAbortSec=5",
        "",
        *_identity(config, user),
        *_credentials(config, names),
        "",
        *_hardware(hardware),
        "",
        *_SANDBOX.splitlines(),
        f"ProtectHome={'read-only' if home else 'yes'}",
        "",
        *_LIMITS.splitlines(),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _identity(config: NodeConfig, user: str | None) -> Iterator[str]:
    if user is None:
        yield "DynamicUser=yes"
    else:
        _check_user(user)
        yield f"User={user}"
    state = config.state_dir
    if state.is_relative_to(STATE) and state != STATE:
        yield f"StateDirectory={state.relative_to(STATE)}"
        yield "StateDirectoryMode=0700"
    elif user is None:
        msg = (
            f"state_dir: {state}: a user that systemd makes may write below {STATE} only; move it, or give --user NAME"
        )
        raise ConfigError(msg)
    else:
        yield f"ReadWritePaths={_quoted(str(state))}"


def _check_user(user: str) -> None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        msg = f"--user {user}: there is no such user here: adduser --system --group {user}"
        raise ConfigError(msg) from None


def _credentials(config: NodeConfig, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield "# Each secret in a file /etc/credstore/becomingone.NAME that only root may read."
    for name in names:
        yield f"LoadCredential={name}:becomingone.{name}"
    key = config.broker.key
    if key is not None and not key.is_relative_to(CREDENTIALS):
        yield f"LoadCredential={_quoted(f'tls_key:{key.absolute()}')}"
        yield "Environment=BECOMINGONE__BROKER__KEY=%d/tls_key"


def _hardware(hardware: Sequence[str]) -> Iterator[str]:
    if not hardware:
        yield "# Its devices need no hardware."
        yield from ("PrivateDevices=yes", "PrivateUsers=yes", "MemoryDenyWriteExecute=yes")
        return
    yield f"# Its devices need: {', '.join(hardware)}."
    yield "DevicePolicy=closed"
    for name in hardware:
        yield from (f"DeviceAllow={device} rw" for device in HARDWARE[name].devices)
    for group in dict.fromkeys(HARDWARE[name].group for name in hardware):
        there = any(entry.gr_name == group for entry in grp.getgrall())
        yield f"SupplementaryGroups={group}" if there else f"# There is no group {group} here."
    if not any(HARDWARE[name].executable_memory for name in hardware):
        yield "MemoryDenyWriteExecute=yes"


def _check_readable(files: Sequence[Path], user: str | None) -> None:
    """Refuse what a user that has nothing to do with these files could not read."""
    if user is not None:
        return
    for file in files:
        for part in (file, *file.parents):
            try:
                mode = part.stat().st_mode
            except OSError as error:
                raise ConfigError(f"{part}: {error.strerror or error}") from error
            needed = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
            if not mode & needed:
                msg = f"{part} is closed to others, and the service has a user of its own: open it, or give --user NAME"
                raise ConfigError(msg)


def _quoted(word: str) -> str:
    """Write a word as systemd.service(5) reads it: no specifiers, no variables, one word."""
    word = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%$+=:,./\[\]-]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
