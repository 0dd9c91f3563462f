"""``provision``: identities, the inventory, SD cards, and how nodes join."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from becomingone.cli.provision import cards, identities, inventory, join

if TYPE_CHECKING:
    # argparse has no public name for it
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    Handlers = Callable[[str, str], Callable[[argparse.Namespace], int]]


def add_provision(commands: Commands, common: argparse.ArgumentParser, handler: Handlers) -> None:
    """Add the command and what is below it."""
    provision = commands.add_parser("provision", help="identities, the inventory, SD cards, and how nodes join")
    group = provision.add_subparsers(required=True, metavar="COMMAND")
    for part in (identities, inventory, cards, join):
        part.add(group, common, handler)
