"""The broker's own files: a folder that nobody else may enter, and what is checked before Mosquitto is started."""

from __future__ import annotations

import os
import pwd
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

from becomingone.broker.access import access_list
from becomingone.broker.config import BrokerConfig
from becomingone.broker.mosquitto.bridge import parent_base
from becomingone.broker.mosquitto.passwords import password_file
from becomingone.broker.mosquitto.render import Files
from becomingone.errors import ConfigError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_folder(path: Path) -> None:
    """Make a folder that only its owner may enter, or make an existing one so.

    Raises
    ------
    ConfigError
        It cannot be made, or belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & _OTHERS:
            path.chmod(0o700)
    except OSError as error:
        msg = f"state_dir: {path} cannot be made for this user alone: {error.strerror or error}"
        raise ConfigError(msg) from error


def write_private(path: Path, text: str) -> None:
    """Replace a file's content at once, readable for its owner only.

    Raises
    ------
    ConfigError
        It cannot be written.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - a Path cannot be opened with a mode
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        msg = f"state_dir: {path} cannot be written: {error.strerror or error}"
        raise ConfigError(msg) from error


def own_user() -> str | None:
    """Give the user that Mosquitto has to stay: it leaves root for another who could not read these files."""
    return pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None


def write_rules(config: BrokerConfig, files: Files, random_bytes: Callable[[int], bytes]) -> None:
    """Write who may do what, and the passwords.

    Parameters
    ----------
    config : BrokerConfig
        Who there is.
    files : Files
        Where they go.
    random_bytes : callable
        Gives unpredictable bytes, for the salts of passwords.

    Raises
    ------
    ConfigError
        They cannot be written.
    """
    rules = access_list(
        config.identities.members,
        config.topics,
        discovery=config.discovery,
        parents=[parent_base(config, bridge) for bridge in config.bridges],
        any_node=config.identities.nodes == "any",
        anonymous=any(config.login_of(listener) == "anonymous" for listener in config.listeners),
    )
    write_private(files.access, rules)
    write_private(files.passwords, password_file(config.passwords, random_bytes))


def check_certificates(config: BrokerConfig) -> None:
    """Check every certificate and key that is named, before Mosquitto speaks of them in its own way.

    Raises
    ------
    ConfigError
        Names the field, the file, and what is wrong with it.
    """
    if config.tls is not None:
        tls = config.tls
        _check_identity("tls", tls.certificate, tls.key)
        _check_authority("tls.ca", tls.ca)
        _check_authority("tls.revoked", tls.revoked)
    for number, bridge in enumerate(config.bridges):
        where = f"bridges[{number}]"
        _check_identity(where, bridge.certificate, bridge.key)
        _check_authority(f"{where}.ca", bridge.ca)


def _check_identity(where: str, certificate: Path, key: Path) -> None:
    _check_authority(f"{where}.certificate", certificate)
    _check_readable(f"{where}.key", key)
    mode = key.stat().st_mode
    if mode & stat.S_IRWXO:
        raise ConfigError(f"{where}.key: {key} can be read by everybody on this machine: chmod o= {key}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_refuse)
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        what = f"is not the key of {certificate}" if mismatch else "holds no private key in PEM form"
        raise ConfigError(f"{where}.key: {key} {what}") from error
    except _EncryptedError as error:
        raise ConfigError(
            f"{where}.key: {key} is encrypted; a broker that starts by itself needs a plain key"
        ) from error


class _EncryptedError(Exception):
    pass


def _refuse() -> str:
    """Keep OpenSSL from asking for a pass phrase on the terminal."""
    raise _EncryptedError


def _check_authority(field: str, path: Path | None) -> None:
    if path is None:
        return
    _check_readable(field, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise ConfigError(f"{field}: {path} holds nothing of that kind in PEM form") from error


def _check_readable(field: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ConfigError(f"{field}: {path} cannot be read: {error.strerror or error}") from error
