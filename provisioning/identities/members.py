"""Keys and certificates that are made here: a folder for each identity, replaced as a whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from becomingone.errors import ConfigError
from becomingone.provisioning.identities import certificates
from becomingone.provisioning.identities.authority import YEAR, Authority
from becomingone.provisioning.identities.keys import key_pem, new_key
from becomingone.provisioning.identities.ledger import Issued
from becomingone.provisioning.identities.secrets_folder import read_private, refusals, write
from becomingone.provisioning.identities.subject import Server, Subject, check_subject, file_name

_FRESH: Final = ".new-"
_STALE: Final = ".old-"


class Members:
    """What is in ``identities/``.

    Parameters
    ----------
    authority : Authority
        Who signs.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._folder = authority.folder.path / "identities"

    def folder(self, subject: Subject) -> Path:
        """Tell where its key and certificate are, or would be."""
        return self._folder / file_name(subject)

    def make(self, subject: Subject, *, hosts: Sequence[str] = (), days: int = YEAR) -> x509.Certificate:
        """Make a key and a certificate for somebody who has none, or whose last one has ended or is void.

        Parameters
        ----------
        subject : Identity or Server
            Whom they are for.
        hosts, days
            As for `Authority.issue`.

        Raises
        ------
        ConfigError
            There is a certificate that holds, or as for `Authority.issue`.
        ProvisioningError
            The disk refuses; nothing is half-done.
        """
        with self._authority.folder.locked():
            self.check_free(subject)
            return self._make(subject, hosts, days)

    def check_free(self, subject: Subject) -> None:
        """Refuse somebody who has a certificate that holds.

        One whose key was lost in a crash, before anybody had it, does not count.

        Raises
        ------
        ConfigError
            It has, and what to do.
        """
        check_subject(subject)
        with self._authority.folder.locked():
            self._settle(subject)
            found = self.current(subject)
        if found is None or found.state(self._authority.time()) in ("revoked", "expired"):
            return
        if found.requested:
            raise ConfigError(
                f"{subject.id}: has joined with a key that it has made itself, and its certificate holds until "
                f"{found.not_after:%Y-%m-%d}: becomingone provision revoke {subject.id}, if that is gone"
            )
        if self.has(found, subject):
            raise ConfigError(
                f"{subject.id}: has a certificate until {found.not_after:%Y-%m-%d}: "
                f"becomingone provision renew {subject.id} makes another"
            )

    def renew(self, subject: Subject, *, hosts: Sequence[str] | None = None, days: int = YEAR) -> x509.Certificate:
        """Make a new certificate for somebody who has one; the old one holds until its end.

        With a new key; who has made its key itself keeps that where it is, and only the certificate is here.

        Parameters
        ----------
        subject : Identity or Server
            Whom they are for.
        hosts : sequence of str or None
            Of a server: its names and addresses; None: those of the old certificate.
        days : int
            As for `Authority.issue`.

        Raises
        ------
        ConfigError
            There is none, it is void, or as for `Authority.issue`.
        ProvisioningError
            The disk refuses; the old pair is still there.
        """
        with self._authority.folder.locked():
            found = self.check_renewable(subject)
            if found.requested:
                return self._renew_elsewhere(subject, found, days)
            if hosts is None and isinstance(subject, Server):
                hosts = certificates.hosts_of(x509.load_der_x509_certificate(found.der))
            return self._make(subject, hosts or (), days)

    def check_renewable(self, subject: Subject) -> Issued:
        """Give the certificate that `renew` replaces.

        Raises
        ------
        ConfigError
            There is none, or it is void; and what to do.
        """
        check_subject(subject)
        with self._authority.folder.locked():
            self._settle(subject)
            found = self.current(subject)
        if found is None:
            raise ConfigError(f"{subject.id}: has no certificate yet: {command(subject)}")
        if found.revoked is not None:
            raise ConfigError(
                f"{subject.id}: was revoked on {found.revoked:%Y-%m-%d}; to let it in again: {command(subject)}"
            )
        return found

    def remove_void(self, subject: Subject) -> bool:
        """Delete the key and certificate that are here where they are void; tell whether they were."""
        with self._authority.folder.locked():
            self._settle(subject)
            void = (one for one in self._authority.record().void if one.identity == subject.id)
            return any(self._is_here(one, subject) for one in void) and self._remove(subject)

    def remove_old(self, subject: Subject) -> bool:
        """Delete what is here of somebody who has made another key itself; tell whether there was something."""
        with self._authority.folder.locked():
            self._settle(subject)
            return self.folder(subject).is_dir() and self._remove(subject)

    def current(self, subject: Subject) -> Issued | None:
        """Give the certificate that somebody has: the last whose key is here or was made elsewhere, else the last."""
        found = self._authority.record().of(subject.id)
        had = (one for one in reversed(found) if one.requested or self.has(one, subject))
        return next(had, found[-1] if found else None)

    def joined(self, subject: Subject) -> bool:
        """Tell whether somebody has made its key itself."""
        found = self.current(subject)
        return found is not None and found.requested

    def files(self, subject: Subject) -> dict[str, bytes]:
        """Give what belongs on its machine: ``ca.crt``, ``tls.crt``, ``tls.key``, and for the broker ``crl.pem``.

        Raises
        ------
        ConfigError
            It has none, or the key is open to others.
        """
        with self._authority.folder.locked():
            self._settle(subject)
            path = self.folder(subject)
            if not path.is_dir():
                raise ConfigError(f"{subject.id}: has no key and certificate here: {command(subject)}")
            if not (path / "tls.key").exists():
                raise ConfigError(f"{subject.id}: has made its key itself, and only there it is")
            found = {
                "ca.crt": self._authority.certificate_pem,
                "tls.crt": read_private(path / "tls.crt"),
                "tls.key": read_private(path / "tls.key"),
            }
            if subject == Server("broker"):
                crl = self._authority.folder.path / "crl.pem"
                try:
                    found["crl.pem"] = crl.read_bytes()
                except OSError as error:
                    raise ConfigError(f"{crl} cannot be read: becomingone provision crl writes it anew") from error
        return found

    def has(self, issued: Issued, subject: Subject) -> bool:
        """Tell whether a certificate and its key are here."""
        return self._is_here(issued, subject) and (self.folder(subject) / "tls.key").exists()

    def _is_here(self, issued: Issued, subject: Subject) -> bool:
        try:
            return (self.folder(subject) / "tls.crt").read_bytes() == issued.pem
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _remove(self, subject: Subject) -> bool:
        path = self.folder(subject)
        with refusals(path):
            shutil.rmtree(path)
        return True

    def _renew_elsewhere(self, subject: Subject, found: Issued, days: int) -> x509.Certificate:
        with self._fresh(subject) as fresh:
            certificate = self._authority.renew(found, days=days)
            write(fresh / "tls.crt", _pem(certificate), mode=0o600)
        return certificate

    def _make(self, subject: Subject, hosts: Sequence[str], days: int) -> x509.Certificate:
        with self._fresh(subject) as fresh:
            key = new_key()
            write(fresh / "tls.key", key_pem(key), mode=0o600)
            certificate = self._authority.issue(subject, key.public_key(), hosts=hosts, days=days)
            write(fresh / "tls.crt", _pem(certificate), mode=0o600)
        return certificate

    @contextlib.contextmanager
    def _fresh(self, subject: Subject) -> Generator[Path]:
        """Give a new folder for somebody, which takes the old one's place when it has its certificate."""
        path = self.folder(subject)
        fresh = path.with_name(f"{_FRESH}{path.name}")
        try:
            with refusals(path):
                self._folder.mkdir(mode=0o700, exist_ok=True)
                if fresh.exists():
                    shutil.rmtree(fresh)
                fresh.mkdir(mode=0o700)
            yield fresh
            self._settle(subject)
        except BaseException:
            with contextlib.suppress(OSError):  # what has failed is raised; the next command sweeps or finishes
                if not (fresh / "tls.crt").exists():
                    shutil.rmtree(fresh)
            raise

    def _settle(self, subject: Subject) -> None:
        """Put a finished pair in its place, also one that an earlier command was cut short with; sweep the rest away.

        The certificate is written last, so a folder that has one is whole.
        """
        path = self.folder(subject)
        fresh, stale = path.with_name(f"{_FRESH}{path.name}"), path.with_name(f"{_STALE}{path.name}")
        with refusals(path):
            if (fresh / "tls.crt").exists():
                if path.exists():
                    path.rename(stale)
                fresh.rename(path)
                _sync(self._folder)
            elif stale.exists() and not path.exists():
                stale.rename(path)
            for left in (stale, fresh):
                if left.exists():
                    shutil.rmtree(left)


def command(subject: Subject) -> str:
    """Give the command that makes somebody's certificate."""
    if isinstance(subject, Server):
        return "becomingone provision " + ("serve" if subject.role == "join" else "broker --host NAME")
    return f"becomingone provision {subject.role}" + ("" if subject.role == "hub" else f" {subject.name}")


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
