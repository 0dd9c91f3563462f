"""Ansible lookup: a secret of the cell, for the machine that must have it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: becomingone_secret
short_description: A secret of the cell
description:
  - Reads C(secrets/cell.yaml) of the cell folder. A node's key is made of the cell's secret, as docs/security.md says.
options:
  _terms:
    description: C(node_key), C(secret) or C(signing_key).
    required: true
  cell_dir:
    description: The cell folder.
    type: path
    required: true
  config:
    description: For C(node_key), the node's C(node.yaml), which names root, cell and node.
    type: path
author:
  - The BecomingONE authors
"""

_ROOT = "becomingone"
_CELL = "home"


class _Loader(yaml.SafeLoader):
    """Reads references to secrets as their names."""


_Loader.add_constructor("!secret", lambda loader, node: loader.construct_scalar(node))


def node_key(secret: bytes, root: str, cell: str, node: str) -> str:
    """Make a node's key, 64 hexadecimal digits."""
    name = "\0".join((root, cell, node)).encode()
    return hashlib.blake2b(name, digest_size=32, key=secret, person=b"becomingone/key").hexdigest()


class LookupModule(LookupBase):
    """See above."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:  # noqa: ANN401 - as Ansible has it
        """Give the secrets that are asked for, 64 hexadecimal digits each.

        Raises
        ------
        AnsibleError
            A file is missing or is not what it must be; with its name, and nothing of what is in it.
        """
        self.set_options(var_options=variables, direct=kwargs)
        path = Path(self.get_option("cell_dir")) / "secrets" / "cell.yaml"
        kept = _read(path)
        return [self._secret(term, kept, path) for term in terms]

    def _secret(self, term: str, kept: dict[str, Any], path: Path) -> str:
        name = "secret" if term == "node_key" else term
        try:
            secret = bytes.fromhex(kept[name])
        except (KeyError, TypeError, ValueError):
            secret = b""
        if len(secret) != 32:
            msg = f"{path}: {name}: must be 64 hexadecimal digits, as becomingone provision ca writes them"
            raise AnsibleError(msg)
        if term != "node_key":
            return secret.hex()
        config = _read(Path(self.get_option("config")))
        return node_key(secret, config.get("root", _ROOT), config.get("cell", _CELL), config["node"])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader with one tag more
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise AnsibleError(msg) from error
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict):
        msg = f"{path}: is no YAML of names and values"
        raise AnsibleError(msg)
    return content
