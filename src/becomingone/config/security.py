"""The section ``security``: the keys with which node and hub know each other's messages."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr, model_validator

from becomingone.config.marks import RESTART
from becomingone.config.sections import Section

KEY_BYTES: Final = 32
"""Bytes of every key here: a node's, the cell's secret, an Ed25519 seed, an Ed25519 public key."""

_LEAST_DISTINCT: Final = 8
"""Different bytes in a random key; fewer come with a probability below 10⁻³⁰, and are somebody's placeholder."""


def key_bytes(text: str) -> bytes:
    """Read a key of 32 bytes, written as 64 hexadecimal digits or 44 characters of base64 (also the URL-safe kind).

    Raises
    ------
    ValueError
        It is not one; the message does not show it.
    """
    text = text.strip()
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else _base64(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        msg = f"must be {KEY_BYTES} bytes as {2 * KEY_BYTES} hexadecimal digits or as base64: openssl rand -hex 32"
        raise ValueError(msg)
    if len(set(key)) < _LEAST_DISTINCT:
        msg = "must be random, and is not: openssl rand -hex 32"
        raise ValueError(msg)
    return key


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise ValueError from error


def _check_secret(value: SecretStr) -> SecretStr:
    key_bytes(value.get_secret_value())
    return value


def _check_public(value: str) -> str:
    key_bytes(value)
    return value


SecretKey = Annotated[SecretStr, AfterValidator(_check_secret)]
PublicKey = Annotated[str, AfterValidator(_check_public)]


class NodeSecurity(Section):
    """What a node of an authenticated cell knows."""

    key: Annotated[
        SecretKey | None,
        RESTART,
        Field(description="this node's own key, made from the hub's secret: 32 bytes, hex or base64; use !secret NAME"),
    ] = None
    hub_public_key: Annotated[
        PublicKey | None,
        RESTART,
        Field(description="checks what the hub signs for all nodes: Ed25519, 32 bytes, hex or base64"),
    ] = None

    @model_validator(mode="after")
    def _check_both(self) -> NodeSecurity:
        if self.key is None and self.hub_public_key is not None:
            msg = "hub_public_key needs key as well: alone it protects nothing"
            raise ValueError(msg)
        return self

    def node_key(self) -> bytes | None:
        """Give the key that this node shares with the hub; None in a cell without authentication."""
        return None if self.key is None else key_bytes(self.key.get_secret_value())


class HubSecurity(Section):
    """What the hub of an authenticated cell knows, and nobody else."""

    secret: Annotated[
        SecretKey | None,
        RESTART,
        Field(description="every node's key is made from it: 32 random bytes, hex or base64; use !secret NAME"),
    ] = None
    signing_key: Annotated[
        SecretKey | None,
        RESTART,
        Field(description="signs what goes to all nodes: Ed25519 seed, 32 random bytes, hex or base64"),
    ] = None

    @model_validator(mode="after")
    def _check_both(self) -> HubSecurity:
        if self.secret is None and self.signing_key is not None:
            msg = "signing_key needs secret as well: alone it protects nothing"
            raise ValueError(msg)
        return self

    def cell_secret(self) -> bytes | None:
        """Give the cell's secret; None in a cell without authentication."""
        return None if self.secret is None else key_bytes(self.secret.get_secret_value())
