"""The TLS side of a broker's settings: files checked and named one by one, before any connection."""

from __future__ import annotations

import ssl
from pathlib import Path

from becomingone.broker.settings import BrokerSettings
from becomingone.errors import ConfigError


def client_context(settings: BrokerSettings) -> ssl.SSLContext | None:
    """Make the TLS context of a client, or None where the URL asks for no TLS.

    TLS 1.2 at least; the broker's certificate must be signed by `BrokerSettings.ca` (the system's authorities where
    none is given) and be for the URL's host.

    Raises
    ------
    ConfigError
        A file is missing, cannot be read, is no PEM, or does not belong to the other; names the field and the file.
    """
    if not settings.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_certificates(context, "ca", settings.ca)
    if settings.certificate is not None and settings.key is not None:
        _load_identity(context, settings.certificate, settings.key)
    return context


def _load_certificates(context: ssl.SSLContext, field: str, path: Path) -> None:
    _check_readable(field, path)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise ConfigError(f"broker.{field}: {path} holds no certificate in PEM form") from error


def _load_identity(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    # OpenSSL tells only that one of the two files is bad, so the certificate is tried by itself first.
    _load_certificates(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "certificate", certificate)
    _check_readable("key", key)
    try:
        context.load_cert_chain(certificate, key, password=_refuse)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            msg = f"broker.key: {key} is not the key of broker.certificate {certificate}"
        else:
            msg = f"broker.key: {key} holds no private key in PEM form"
        raise ConfigError(msg) from error
    except _EncryptedError as error:
        raise ConfigError(
            f"broker.key: {key} is encrypted; a program that starts by itself needs a plain key"
        ) from error


class _EncryptedError(Exception):
    pass


def _refuse() -> str:
    """Keep OpenSSL from asking for a pass phrase on the terminal."""
    raise _EncryptedError


def _check_readable(field: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ConfigError(f"broker.{field}: {path} cannot be read: {error.strerror or error}") from error
