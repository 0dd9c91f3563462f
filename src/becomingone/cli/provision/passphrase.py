"""Where the passphrase of the authority's key comes from: a file, a service's credential, or the terminal."""

from __future__ import annotations

import argparse
import getpass
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from becomingone.errors import ConfigError

CREDENTIAL: Final = "ca_passphrase"
"""What systemd's ``LoadCredential=`` calls it."""

_LONGEST: Final = 1024


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Add the argument."""
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="holds the passphrase of the authority's key (default: the credential ca_passphrase, or the terminal)",
    )


def passphrase_of(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Callable[[], bytes]:
    """Give what finds the passphrase when it is needed.

    The result raises ConfigError where there is none to be had, or its file is open to others.
    """

    def find() -> bytes:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        credential = Path(folder) / CREDENTIAL if folder else None
        if arguments.passphrase_file is not None:
            return read_passphrase(arguments.passphrase_file)
        if credential is not None and credential.exists():
            return read_passphrase(credential)
        if not sys.stdin.isatty():
            raise ConfigError("the authority's key has a passphrase: give --passphrase-file FILE, or use a terminal")
        return getpass.getpass("passphrase of the authority's key: ").encode()

    return find


def new_passphrase(arguments: argparse.Namespace) -> bytes | None:
    """Find the passphrase of a key that is to be made; None where none is wanted.

    Raises
    ------
    ConfigError
        There is no terminal to ask on, the two answers differ, or the file is open to others.
    """
    if arguments.passphrase_file is not None:
        return read_passphrase(arguments.passphrase_file)
    if not arguments.passphrase:
        return None
    if not sys.stdin.isatty():
        raise ConfigError("--passphrase: asks on a terminal, and there is none: give --passphrase-file FILE")
    first = getpass.getpass("passphrase for the authority's key: ")
    if getpass.getpass("the same again: ") != first:
        raise ConfigError("the two passphrases differ; nothing has been made")
    return first.encode()


def read_passphrase(path: Path) -> bytes:
    """Read a file that holds a passphrase, and at most a line's end after it.

    Raises
    ------
    ConfigError
        It cannot be read, is open to others, empty, or longer than 1024 bytes.
    """
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            data = file.read(_LONGEST + 3)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path} must be for its owner alone (its mode is {mode & 0o777:o}): chmod 600 {path}")
    data = data.removesuffix(b"\n").removesuffix(b"\r")
    if not 1 <= len(data) <= _LONGEST:
        raise ConfigError(f"{path} must hold one passphrase of 1..{_LONGEST} bytes")
    return data
