"""Writes YAML that our loaders and Ansible read as the same values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from becomingone.config.tree import Node, Scalar
from becomingone.provisioning.inventory.document import Reference

_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""What some reader of YAML takes for something else than text."""

_WIDTH: Final = 120

Plain = Mapping[str, "Plain"] | list["Plain"] | Scalar


def values(node: Node) -> Any:  # noqa: ANN401 - whatever a file may hold
    """Give the values of a tree; secrets stay references."""
    if isinstance(node.value, dict):
        return {name: values(part) for name, part in node.value.items()}
    if isinstance(node.value, list):
        return [values(part) for part in node.value]
    return node.value


def text_of(head: str, content: Mapping[str, Any]) -> str:
    """Write a mapping as a YAML file, in its own order; the same content is the same text.

    Parameters
    ----------
    head : str
        Comment lines above it, without their ``#``.
    content : mapping
        Plain values and references to secrets.
    """
    comment = "".join(f"# {line}\n" for line in head.splitlines())
    body = yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return f"{comment}{body}"


class _Dumper(yaml.SafeDumper):
    """Quotes whatever YAML 1.1 or 1.2 could take for anything but text; never writes aliases."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's interface
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - see above
        super().increase_indent(flow, indentless=False)


def _text(_dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=None if plain else '"')


def _secret(_dumper: _Dumper, secret: Reference) -> yaml.ScalarNode:
    return yaml.ScalarNode("!secret", secret.name)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Reference, _secret)
