"""``node unit``: the systemd service that runs a node on this machine, shut in as far as its hardware allows."""

from __future__ import annotations

import argparse
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

import becomingone
from becomingone.cli.exits import Exit
from becomingone.cli.hardware import HARDWARE, hardware_of
from becomingone.cli.service_unit import Place, unit
from becomingone.config.loader import load
from becomingone.config.secret import PREFIX
from becomingone.errors import ConfigError, LinkError
from becomingone.node.config import NodeConfig, device_of
from becomingone.provisioning.watchdog import MANAGER

TEMPORARY: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - not used, refused
WATCHDOG: Final = Path("/dev/watchdog")


def print_unit(arguments: argparse.Namespace) -> int:
    """Print a unit, or the hardware watchdog's file."""
    if arguments.hardware_watchdog:
        if not WATCHDOG.exists():
            raise LinkError(f"there is no {WATCHDOG}: the kernel has no driver for a watchdog of this machine")
        sys.stdout.write(MANAGER)
        return Exit.DONE
    if arguments.config is None:
        raise ConfigError("which node? becomingone node unit CONFIG")
    path = arguments.config.absolute()
    here = _here(arguments.systemd)
    for file in (here.python, here.package, path):
        if any(file.is_relative_to(folder) for folder in TEMPORARY):
            raise ConfigError(f"{file}: the service has temporary folders of its own and could not see it: move it")
    unknown = [word for word in arguments.allow if word not in HARDWARE]
    if unknown:
        raise ConfigError(f"--allow: {', '.join(unknown)}: must be among {', '.join(HARDWARE)}")
    names = secret_names(path)
    config = load(NodeConfig, path, overrides=arguments.overrides, environ=os.environ | _stand_ins(names))
    modules = [device_of(entry, config.drop_in)[0] for entry in (*config.inputs, *config.outputs)]
    text = unit(
        config,
        path,
        overrides=arguments.overrides,
        names=names,
        hardware=sorted({*hardware_of(modules), *arguments.allow}),
        user=arguments.user,
        place=here,
    )
    sys.stdout.write(text)
    return Exit.DONE


def secret_names(path: Path) -> list[str]:
    """Give the names of the secrets that a configuration refers to, in their order.

    A file that cannot be read has none here; its loader says what is wrong with it.
    """
    try:
        events = list(yaml.parse(path.read_text("utf-8"), Loader=yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    found = [event.value for event in events if isinstance(event, yaml.ScalarEvent) and event.tag == "!secret"]
    return list(dict.fromkeys(found))


def _stand_ins(names: Sequence[str]) -> dict[str, str]:
    """Give something for every secret: who writes the unit need not know them."""
    return {PREFIX + name.upper().replace("-", "_").replace(".", "_"): secrets.token_hex(32) for name in names}


def _here(systemd: int | None) -> Place:
    package = Path(becomingone.__file__).parents[1]
    listed = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    needed = any(Path(entry).absolute() == package for entry in listed)
    return Place(Path(sys.executable), package, str(package) if needed else "", systemd or _systemd_version())


def _systemd_version() -> int:
    """Ask which systemd is here; an old one where there is none, whose unit every newer one takes."""
    try:
        told = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S607 - wherever it is
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.match(r"systemd (\d+)", told)
    return int(found[1]) if found else 0
