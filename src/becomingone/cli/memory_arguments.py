"""The arguments of ``becomingone memory verify|backup|restore|migrate``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # argparse has no public name for it
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

Handler = Callable[[argparse.Namespace], int]


def add_store(group: Commands, common: argparse.ArgumentParser, handler: Callable[[str, str], Handler]) -> None:
    """Add these commands to the group ``memory``."""
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--database", type=Path, metavar="FILE", help="the memory itself (default: the hub's)")
    place.add_argument("--json", action="store_true", help="print one JSON object")
    looking = group.add_parser("verify", parents=[common, place], help="read all of it: 1 when a byte was altered")
    looking.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="hub.yaml")
    looking.add_argument("--key", metavar="HEX", help="the hub's public key (default: that of hub.yaml)")
    looking.add_argument("--expect", metavar="HEAD", help="the head that an earlier verify has given: still there?")
    looking.set_defaults(run=handler("memory_store", "verify"))
    copying = group.add_parser("backup", parents=[common, place], help="copy it, while the hub runs")
    copying.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="hub.yaml")
    copying.add_argument("--out", type=Path, required=True, metavar="FILE", help="the copy, a new file")
    copying.set_defaults(run=handler("memory_store", "backup"))
    returning = group.add_parser("restore", parents=[common, place], help="put a backup in its place; stop the hub")
    returning.add_argument("backup", type=Path, metavar="BACKUP", help="what memory backup has made")
    returning.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="hub.yaml")
    returning.set_defaults(run=handler("memory_store", "restore"))
    raising = group.add_parser(
        "migrate", parents=[common, place], help="make an older one into a new one; stop the hub"
    )
    raising.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="hub.yaml")
    raising.set_defaults(run=handler("memory_store", "migrate"))
