"""Secrets by reference: ``!secret NAME`` stands for a text that is kept elsewhere.

Looked for, in this order, in

1. ``$CREDENTIALS_DIRECTORY/NAME`` (what systemd's ``LoadCredential=`` gives to a service [1]_),
2. the environment variable ``BECOMINGONE_SECRET_NAME`` (the name in capitals, ``-`` and ``.`` as ``_``),
3. ``secrets.yaml`` beside the configuration, which nobody but its owner may read.

References
----------
.. [1] systemd.exec(5), "Credentials", https://systemd.io/CREDENTIALS/
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from becomingone.config.document import MAX_BYTES, Builder, compose, decode
from becomingone.config.tree import DocumentError, Node, Problem, shorten
from becomingone.errors import ConfigError

PREFIX: Final = "BECOMINGONE_SECRET_"
FILE_NAME: Final = "secrets.yaml"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Secrets:
    """Resolves the secrets of one configuration and remembers their texts, so that no message shows them.

    Parameters
    ----------
    folder : Path
        The folder of the configuration file.
    environ : Mapping[str, str]
        The environment.

    Attributes
    ----------
    texts : set[str]
        The texts of all secrets that were resolved.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._path = folder / FILE_NAME
        self._environ = environ
        self._file: dict[str, str] | ConfigError | None = None
        self.texts: set[str] = set()

    def resolve(self, name: str) -> SecretStr:
        """Find the secret `name`.

        Raises
        ------
        ConfigError
            When it is nowhere, or where it is cannot be used; the message says where it was looked for.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError("the name of a secret must be made of letters, digits, '_', '-' and '.'")
        text, looked = self._from_credentials(name)
        variable = PREFIX + name.upper().replace("-", "_").replace(".", "_")
        if text is None:
            text = self._environ.get(variable)
            looked = f"{looked}, ${variable}"
        if text is None:
            text = self._from_file(name)
        if text is None:
            there = "" if self._path.exists() else " (no such file)"
            raise ConfigError(f"no secret {shorten(name)}; looked in {looked} and {self._path}{there}")
        if not text:
            raise ConfigError(f"the secret {shorten(name)} is empty")
        self.texts.add(text)
        return SecretStr(text)

    def _from_credentials(self, name: str) -> tuple[str | None, str]:
        folder = self._environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            return None, "$CREDENTIALS_DIRECTORY (not set)"
        path = Path(folder) / name
        try:
            with path.open("rb") as file:
                text = decode(file.read(MAX_BYTES + 1))
        except FileNotFoundError:
            return None, str(path)
        except DocumentError:
            raise ConfigError(f"the secret {path} must be UTF-8 text of at most {MAX_BYTES} bytes") from None
        except (OSError, ValueError) as exc:
            raise ConfigError(f"the secret {path} cannot be read: {_reason(exc)}") from None
        return text.removesuffix("\n").removesuffix("\r"), str(path)

    def _from_file(self, name: str) -> str | None:
        if self._file is None:
            try:
                self._file = _read_secrets(self._path)
            except ConfigError as exc:
                self._file = exc
        if isinstance(self._file, ConfigError):
            raise self._file
        return self._file.get(name)


def _read_secrets(path: Path) -> dict[str, str]:
    """Read ``secrets.yaml``; no message shows any of what is in it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & _OTHERS:
                message = f"{path} must be for its owner alone (its mode is {mode & 0o777:o}): chmod 600 {path}"
                raise ConfigError(message)
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        if isinstance(exc, ConfigError):
            raise
        raise ConfigError(f"{path} cannot be read: {_reason(exc)}") from None
    try:
        node = compose(decode(raw))
        problems: list[Problem] = []
        root = Builder(str(path), _no_secret, problems).build(node) if node else None
    except DocumentError as exc:
        where = path if exc.line is None else f"{path}:{exc.line}"
        raise ConfigError(f"{where} must be YAML of lines such as  name: 'text'") from None
    if problems:
        raise ConfigError(f"{problems[0].place} must be written as  name: 'text'  with every name once")
    return {} if root is None else _texts(root, path)


def _texts(root: Node, path: Path) -> dict[str, str]:
    if not isinstance(root.value, dict):
        raise ConfigError(f"{path} must hold lines such as  name: 'text'")
    for node in root.value.values():
        if node.wrong is not None or isinstance(node.value, dict | list):
            raise ConfigError(f"{node.place} must be written as  name: 'text'  (with the quotes)")
    return {name: node.text for name, node in root.value.items()}


def _no_secret(name: str) -> SecretStr:
    raise ConfigError(f"a secret cannot refer to the secret {shorten(name)}")


def _reason(exc: OSError | ValueError) -> str:
    return exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
