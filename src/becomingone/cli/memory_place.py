"""Which memory a command is about: the hub's configuration says where it is, or the command line does."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from becomingone.config.loader import load
from becomingone.config.security import key_bytes
from becomingone.errors import ConfigError
from becomingone.hub.config import HubConfig
from becomingone.wire.signature import Signer


@dataclass(frozen=True, slots=True)
class MemoryPlace:
    """A memory, and who signs it.

    Parameters
    ----------
    database : Path
        The file.
    config : HubConfig or None
        The hub's, where it was given.
    """

    database: Path
    config: HubConfig | None

    def signer(self) -> Signer | None:
        """Give what signs for the hub; None where it has no identity, or is not known."""
        key = self.config.security.signing_key if self.config is not None else None
        return Signer(key_bytes(key.get_secret_value())) if key is not None else None


def memory_place(arguments: argparse.Namespace) -> MemoryPlace:
    """Find it.

    Raises
    ------
    ConfigError
        Neither configuration nor file is given, or the configuration has a fault.
    """
    config = None
    if arguments.config is not None:
        overrides = getattr(arguments, "overrides", [])
        config = load(HubConfig, arguments.config, overrides=overrides, environ=os.environ)
    if arguments.database is not None:
        return MemoryPlace(arguments.database, config)
    if config is None:
        msg = "give CONFIG, the hub's hub.yaml, or --database FILE, its state_dir/<cell>/hub/memory.db"
        raise ConfigError(msg)
    return MemoryPlace(config.state_dir / config.cell / "hub" / "memory.db", config)
