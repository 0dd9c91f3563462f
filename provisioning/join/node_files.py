"""What a node is given with its certificate: its configuration as it was rendered, and the keys that go with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import yaml

from becomingone.config.sections import CellConfig
from becomingone.errors import ConfigError
from becomingone.provisioning.identities.cell_secrets import CellSecrets

_LONGEST: Final = 512 << 10


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """A node's share.

    Parameters
    ----------
    config : str
        Its ``node.yaml``.
    node_key : bytes
        The key that it shares with the hub.
    hub_public_key : bytes
        Checks what the hub signs.
    """

    config: str
    node_key: bytes = field(repr=False)
    hub_public_key: bytes


class RenderedNodes:
    """Gives each node's share from the cell folder, read anew each time.

    Parameters
    ----------
    rendered : Path
        ``out``, where the rendered files are.
    secrets : Path
        ``cell.yaml``.
    """

    def __init__(self, rendered: Path, secrets: Path) -> None:
        self._rendered = rendered
        self._secrets = secrets

    def __call__(self, node: str) -> NodeFiles:
        """Give a node's share.

        Raises
        ------
        ConfigError
            It has not been rendered, is another node's, or is older than the cell's keys.
        """
        path = self._rendered / "nodes" / node / "node.yaml"
        text, content = _read(path)
        keys = CellSecrets.open(self._secrets)
        again = "becomingone provision render makes it anew"
        if content.get("node") != node:
            msg = f"{path}: node: is the configuration of {content.get('node')!r}, and must be {node}'s; {again}"
            raise ConfigError(msg)
        security = content.get("security")
        named = cast("dict[str, Any]", security).get("hub_public_key") if isinstance(security, dict) else None
        if named != keys.hub_public_key.hex():
            msg = f"{path}: security.hub_public_key: is not that of {self._secrets}; {again}"
            raise ConfigError(msg)
        root, cell = (str(content.get(name, CellConfig.model_fields[name].default)) for name in ("root", "cell"))
        return NodeFiles(text, keys.node_key(root, cell, node), keys.hub_public_key)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            raw = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file yet: becomingone provision render makes it") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(raw) > _LONGEST:
        raise ConfigError(f"{path} must be at most {_LONGEST} bytes long")
    try:
        text = raw.decode("utf-8")
        content: object = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no YAML; becomingone provision render makes it anew") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must be a mapping (name: value)")
    return text, cast("dict[str, Any]", content)


class _Loader(yaml.SafeLoader):
    """Reads ``!secret NAME`` as the bare reference that it is: it is the node that has the secret."""


def _reference(_loader: yaml.SafeLoader, node: yaml.Node) -> str:
    return f"!secret {node.value}"


_Loader.add_constructor("!secret", _reference)
