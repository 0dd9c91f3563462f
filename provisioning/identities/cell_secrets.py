"""``cell.yaml``: the cell's secret and signing key, from which every key of sealed messages comes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from becomingone.config.loader import load
from becomingone.config.sections import Section
from becomingone.config.security import SecretKey, key_bytes
from becomingone.errors import ConfigError
from becomingone.provisioning.identities.secrets_folder import check_private, write
from becomingone.wire.seal import KEY_BYTES, node_key
from becomingone.wire.signature import Signer

_HEAD = """\
# Who has these speaks as the hub and as every node. They stay here and on the hub's machine.
# Another secret means another key for every node at once.
"""


class _CellFile(Section):
    secret: Annotated[SecretKey, Field(description="every node's key is made from it: 32 random bytes")]
    signing_key: Annotated[SecretKey, Field(description="signs what goes to all nodes: Ed25519 seed, 32 random bytes")]


class CellSecrets:
    """The keys of a cell's sealed messages.

    Parameters
    ----------
    secret : bytes
        The cell's secret, 32 random bytes, which only the hub has besides.
    signing_key : bytes
        The hub's Ed25519 seed, 32 random bytes.
    """

    def __init__(self, secret: bytes, signing_key: bytes) -> None:
        self.secret = secret
        self.signing_key = signing_key

    def __repr__(self) -> str:
        return "CellSecrets(...)"

    @classmethod
    def create(cls, path: Path, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> CellSecrets:
        """Draw them, and write them for their owner alone.

        Raises
        ------
        ConfigError
            There is such a file.
        ProvisioningError
            The disk refuses.
        """
        if path.exists():
            raise ConfigError(f"{path} is there already; new keys in it would shut every node out")
        made = cls(random_bytes(KEY_BYTES), random_bytes(KEY_BYTES))
        text = f"{_HEAD}secret: '{made.secret.hex()}'\nsigning_key: '{made.signing_key.hex()}'\n"
        write(path, text, mode=0o600)
        return made

    @classmethod
    def open(cls, path: Path) -> CellSecrets:
        """Read them.

        Raises
        ------
        ConfigError
            The file is not there, open to others, or not as it must be; no message shows what is in it.
        """
        check_private(path)
        read = load(_CellFile, path, environ={})
        return cls(key_bytes(read.secret.get_secret_value()), key_bytes(read.signing_key.get_secret_value()))

    @property
    def hub_public_key(self) -> bytes:
        """The 32 bytes with which nodes check what the hub signs."""
        return Signer(self.signing_key).public_key

    def node_key(self, root: str, cell: str, node: str) -> bytes:
        """Make the key that one node and the hub share, 32 bytes; parameters as in the topics."""
        return node_key(self.secret, root, cell, node)
