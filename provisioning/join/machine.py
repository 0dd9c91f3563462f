"""The files of a machine that joins: where they are, written whole, modes first, and never half a change.

A join writes, in this order, each on the disk before the next: the key that it makes, before anybody is asked; then
what it was given; last it deletes the token. Until the token is gone the join can be done again from the beginning,
with the same key and so with the same result, whatever cut it short.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from becomingone.errors import ProvisioningError
from becomingone.provisioning.identities.keys import key_pem, new_key, read_key
from becomingone.provisioning.join.token import JoinToken

_PENDING: Final = "becomingone.joining-"
_FRESH: Final = ".becomingone-new"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where things are on a machine.

    Parameters
    ----------
    root : Path
        ``/``; another folder in tests, and where a card's file system is prepared.
    """

    root: Path = field(default_factory=lambda: Path("/"))

    @property
    def config(self) -> Path:
        """The node's configuration."""
        return self.root / "etc/becomingone/node.yaml"

    @property
    def join_config(self) -> Path:
        """What says how to join; deleted when that is done."""
        return self.root / "etc/becomingone/join.yaml"

    @property
    def authority(self) -> Path:
        """The cell's certificate."""
        return self.root / "etc/becomingone/tls/ca.crt"

    @property
    def certificate(self) -> Path:
        """The node's certificate."""
        return self.root / "etc/becomingone/tls/node.crt"

    @property
    def credentials(self) -> Path:
        """Secrets, each in a file that systemd hands to its service and nobody else reads."""
        return self.root / "etc/credstore"

    @property
    def key(self) -> Path:
        """The certificate's private key."""
        return self.credentials / "becomingone.tls_key"

    @property
    def node_key(self) -> Path:
        """The key that the node shares with the hub."""
        return self.credentials / "becomingone.node_key"

    @property
    def joined_by(self) -> Path:
        """The hash of the token that this machine has joined with: to know it again when it is shown once more."""
        return self.root / "etc/becomingone/joined"

    def pending_key(self, token: JoinToken) -> ec.EllipticCurvePrivateKey:
        """Give the key to join with: the one made for this token before, or a new one, on the disk already.

        Raises
        ------
        ProvisioningError
            The disk refuses.
        """
        path = self.credentials / f"{_PENDING}{token.digest[:16]}"
        if path.exists():
            return read_key(path)
        key = new_key()
        self._folders()
        _place(path, key_pem(key).encode("ascii"), 0o600)
        return key

    def install(
        self,
        token: JoinToken,
        *,
        config: str,
        certificate: str,
        authority: str,
        node_key: str,
        key: ec.EllipticCurvePrivateKey,
    ) -> None:
        """Write a member's files; parameters as they stand in them.

        Raises
        ------
        ProvisioningError
            The disk refuses; the join is to be done again.
        """
        self._folders()
        files: Mapping[Path, tuple[str, int]] = {
            self.key: (key_pem(key), 0o600),
            self.node_key: (f"{node_key}\n", 0o600),
            self.authority: (authority, 0o644),
            self.certificate: (certificate, 0o644),
            self.config: (config, 0o644),
            self.joined_by: (f"{token.digest}\n", 0o600),
        }
        for path, (text, mode) in files.items():
            _place(path, text.encode("utf-8"), mode)

    def knows(self, token: JoinToken) -> bool:
        """Tell whether it was this token that the machine has joined with, to the end.

        Raises
        ------
        ProvisioningError
            The file cannot be read.
        """
        try:
            return self.joined_by.read_text("ascii").strip() == token.digest
        except FileNotFoundError:
            return False
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{self.joined_by} cannot be read: {getattr(error, 'strerror', None) or error}"
            raise ProvisioningError(msg) from error

    def forget_token(self, join_config: Path | None) -> None:
        """Delete the token, and then what was kept to begin again with.

        Raises
        ------
        ProvisioningError
            The disk refuses.
        """
        try:
            if join_config is not None and join_config.exists():
                join_config.unlink()
                _sync(join_config.parent)
            for path in self.credentials.glob(f"{_PENDING}*"):
                path.unlink()
            _sync(self.credentials)
        except OSError as error:
            msg = f"{error.filename} cannot be deleted: {error.strerror or error}; the node has joined all the same"
            raise ProvisioningError(msg) from error

    def _folders(self) -> None:
        for path, mode in ((self.authority.parent, 0o755), (self.credentials, 0o700)):
            try:
                path.mkdir(parents=True, exist_ok=True)
                if mode == 0o700 and stat.S_IMODE(path.stat().st_mode) & 0o077:
                    path.chmod(mode)
            except OSError as error:
                raise ProvisioningError(_refusal(path, error)) from error


def public_key_der(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> bytes:
    """Write the public key, for comparing."""
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _place(path: Path, content: bytes, mode: int) -> None:
    """Replace a file as a whole, with its mode from the first byte on; it is on the disk when this returns."""
    fresh = path.with_name(f"{path.name}{_FRESH}")
    try:
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise ProvisioningError(_refusal(path, error)) from error


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _refusal(path: Path, error: OSError) -> str:
    hint = "; run this as root" if isinstance(error, PermissionError) else ""
    return f"{path} cannot be written: {error.strerror or error}{hint}"
