"""Where the operator keeps one cell: its inventory, which may be in a repository, and its secrets, which may not."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from becomingone.errors import ConfigError, ProvisioningError, TopicError
from becomingone.provisioning.identities.authority import YEARS_10, Authority
from becomingone.provisioning.identities.cell_secrets import CellSecrets
from becomingone.provisioning.identities.keys import Passphrase
from becomingone.provisioning.identities.secrets_folder import refusals, write
from becomingone.provisioning.identities.signing import Now, utc_now
from becomingone.wire.topics import check_name

SECRETS: Final = "secrets"
_FRESH: Final = ".secrets.new"
_IGNORED: Final = (f"/{SECRETS}/", "/out/", f"/{_FRESH}/")


def create_cell(
    folder: Path,
    cell: str,
    *,
    passphrase: bytes | None = None,
    now: Now = utc_now,
    days: int = YEARS_10,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Authority:
    """Make a cell's secrets: authority, empty revocation list, secret and signing key; all of it or nothing.

    Parameters
    ----------
    folder : Path
        The cell's folder; it is made where it is not there.
    cell, passphrase, now, days, random_bytes
        As for `Authority.create`.

    Raises
    ------
    ConfigError
        There are secrets already, the name is none, or as for `Authority.create`.
    ProvisioningError
        The disk refuses, or another command does the same.
    """
    try:
        check_name(cell, "the cell's name")
    except TopicError as error:
        raise ConfigError(str(error)) from None
    target, fresh = folder / SECRETS, folder / _FRESH
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if target.exists() or target.is_symlink():
            raise ConfigError(f"{target} is there already; a cell has one authority, for good")
        _ignore(folder / ".gitignore")
        try:
            with refusals(fresh):
                if fresh.exists():
                    shutil.rmtree(fresh)
                fresh.mkdir(mode=0o700)
            Authority.create(fresh, cell, passphrase=passphrase, now=now, days=days, random_bytes=random_bytes)
            CellSecrets.create(fresh / "cell.yaml", random_bytes=random_bytes)
            with refusals(target):
                fresh.rename(target)
        except BaseException:
            with contextlib.suppress(OSError):  # what has failed is raised; the next attempt sweeps the rest away
                shutil.rmtree(fresh)
            raise
    return Authority.open(target, passphrase=passphrase, now=now, random_bytes=random_bytes)


def open_cell(folder: Path, *, passphrase: Passphrase = None, now: Now = utc_now) -> Authority:
    """Take the authority of the cell in a folder; parameters and errors as for `Authority.open`."""
    return Authority.open(folder / SECRETS, passphrase=passphrase, now=now)


@contextlib.contextmanager
def _alone(folder: Path) -> Generator[None, None, None]:
    with refusals(folder):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{folder} is being made by another command; try again when it has ended"
            raise ProvisioningError(msg) from None
        yield
    finally:
        os.close(opened)


def _ignore(path: Path) -> None:
    """Have git leave the secrets alone, whatever else stands in the file."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as text: add the lines {' '.join(_IGNORED)} by hand") from error
    lines = text.splitlines()
    missing = [line for line in _IGNORED if line not in lines]
    if not missing:
        return
    if text and not text.endswith("\n"):
        text += "\n"
    if not text.isascii():
        raise ConfigError(f"{path} holds more than ASCII: add the lines {' '.join(missing)} by hand")
    write(path, text + "".join(f"{line}\n" for line in missing), mode=0o666)
