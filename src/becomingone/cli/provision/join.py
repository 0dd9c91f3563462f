"""The arguments of how a node that has only a token becomes a member: token, serve, approve, join."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from becomingone.cli.provision import Commands, Handlers


def add(group: Commands, common: argparse.ArgumentParser, handler: Handlers) -> None:
    """Add the commands."""
