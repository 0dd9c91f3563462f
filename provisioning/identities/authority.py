"""The cell's certificate authority: a key in a folder, and the record of what it has signed.

Its certificate holds for ten years and everybody's for one. There are no name constraints (RFC 5280, 4.2.1.10): those
on host names do not reach the common names by which members are told, and the broker's names must be free to change
without a new authority.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from becomingone.errors import ConfigError
from becomingone.provisioning.identities import certificates
from becomingone.provisioning.identities.keys import Passphrase, check_public, key_digest, key_pem, new_key
from becomingone.provisioning.identities.ledger import Issued, Ledger, Record
from becomingone.provisioning.identities.revocations import Revocations
from becomingone.provisioning.identities.secrets_folder import SecretsFolder, write
from becomingone.provisioning.identities.signing import (
    Now,
    Signing,
    believable,
    ca_certificate,
    requested,
    utc_now,
)
from becomingone.provisioning.identities.subject import Server, Subject, check_hosts, check_subject, subject_of

__all__ = ["YEAR", "YEARS_10", "Authority", "Now", "requested", "utc_now"]

YEARS_10: Final = 3650
YEAR: Final = 365


class Authority:
    """An authority; `create` makes one, `open` takes the one that is there.

    Parameters
    ----------
    signing : Signing
        What signs for it.
    random_bytes : callable
        Gives so many unpredictable bytes.
    """

    def __init__(self, signing: Signing, *, random_bytes: Callable[[int], bytes]) -> None:
        self._signing = signing
        self._random_bytes = random_bytes
        self._ledger = Ledger(signing.folder.path / "issued.jsonl")
        self.folder = signing.folder
        self.certificate = signing.certificate
        self.revocations = Revocations(signing, self._ledger)

    @classmethod
    def create(
        cls,
        folder: Path,
        cell: str,
        *,
        passphrase: bytes | None = None,
        now: Now = utc_now,
        days: int = YEARS_10,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> Authority:
        """Make a new authority, with an empty revocation list.

        Parameters
        ----------
        folder : Path
            A folder for its owner alone (mode 0700); the cell's ``secrets``.
        cell : str
            The cell's name.
        passphrase : bytes or None
            Encrypts the key; None leaves it plain, protected by the file's mode alone.
        now : callable
            Tells the time, in UTC.
        days : int
            How long it will hold.
        random_bytes : callable
            As for the class.

        Raises
        ------
        ConfigError
            There is one, the folder is open to others, the passphrase is too short, or the clock is wrong.
        ProvisioningError
            The disk refuses.
        """
        kept = SecretsFolder(folder)
        with kept.locked():
            for name in ("ca.crt", "ca.key", "issued.jsonl"):
                if (folder / name).exists():
                    raise ConfigError(f"{folder / name} is there already; a cell has one authority, for good")
            moment = believable(now())
            key = new_key()
            certificate = certificates.authority_certificate(
                cell, key, _serial(random_bytes), moment - certificates.EARLY, moment + timedelta(days=days)
            )
            write(folder / "ca.key", key_pem(key, passphrase), mode=0o600)
            Ledger(folder / "issued.jsonl").create()
            signing = Signing(kept, certificate, passphrase=passphrase, now=now, key=key)
            made = cls(signing, random_bytes=random_bytes)
            made.write_crl()
            write(folder / "ca.crt", made.certificate_pem.decode("ascii"), mode=0o644)
        return made

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        passphrase: Passphrase = None,
        now: Now = utc_now,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> Authority:
        """Take the authority that is in a folder.

        Parameters
        ----------
        folder, now, random_bytes
            As for `create`.
        passphrase : bytes, callable or None
            What the key is encrypted with; a callable is asked once, when something is signed.

        Raises
        ------
        ConfigError
            There is none, the folder is open to others, or a file of it is damaged.
        """
        kept = SecretsFolder(folder)
        signing = Signing(kept, ca_certificate(folder / "ca.crt"), passphrase=passphrase, now=now)
        made = cls(signing, random_bytes=random_bytes)
        made.record()
        return made

    @property
    def cell(self) -> str:
        """The cell whose authority it is."""
        return str(self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)

    @property
    def certificate_pem(self) -> bytes:
        """Its own certificate, which everybody needs."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of its certificate's DER, 64 hexadecimal digits."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def not_after(self) -> datetime:
        """Until when it holds, in UTC."""
        return certificates.ends(self.certificate)

    def time(self) -> datetime:
        """Tell the time, in UTC and whole seconds; ConfigError where the clock was never set."""
        return self._signing.time()

    def unlock(self) -> None:
        """Read the key now, and so find out now whether something can be signed; ConfigError where not."""
        self._signing.time_to_sign()
        self._signing.key()

    def record(self) -> Record:
        """Read what was issued and revoked."""
        return self._ledger.read()

    def issued(self) -> list[Issued]:
        """Give every certificate that was ever issued, in that order."""
        return list(self.record().issued)

    def issue(
        self, subject: Subject, public_key: object, *, hosts: Sequence[str] = (), days: int = YEAR
    ) -> x509.Certificate:
        """Sign a certificate; it is recorded before it is given.

        Parameters
        ----------
        subject : Identity or Server
            Whom it names.
        public_key : EllipticCurvePublicKey
            Whose holder it is for; on P-256.
        hosts : sequence of str
            Of a server: the names and addresses under which clients reach it.
        days : int
            How long it holds; it ends with the authority at the latest.

        Raises
        ------
        ConfigError
            Something of it cannot be signed, the key is locked, the authority has ended, or the clock is wrong.
        ProvisioningError
            The disk refuses, and nothing is issued; or another command holds the folder.
        """
        return self._issue(subject, check_public(public_key), hosts, days, requested=False)

    def sign_request(self, csr_pem: bytes, subject: Subject, *, hosts: Sequence[str] = (), days: int = YEAR) -> bytes:
        """Sign what somebody asks for who keeps the key to itself (PKCS #10, RFC 2986).

        Nothing but the public key is taken from the request: whom the certificate names is decided here.

        Parameters
        ----------
        csr_pem : bytes
            The request, as PEM, at most 16 KiB.
        subject, hosts, days
            As for `issue`.

        Returns
        -------
        bytes
            The certificate, as PEM.

        Raises
        ------
        ConfigError, ProvisioningError
            As for `issue`; or the request is damaged, or not signed with the key that it holds.
        """
        certificate = self._issue(subject, requested(csr_pem).key, hosts, days, requested=True)
        return certificate.public_bytes(serialization.Encoding.PEM)

    def renew(self, issued: Issued, *, days: int = YEAR) -> x509.Certificate:
        """Sign another certificate for a key that its holder has made and keeps; errors as of `issue`."""
        key = check_public(x509.load_der_x509_certificate(issued.der).public_key())
        return self._issue(subject_of(issued.identity), key, (), days, requested=True)

    def revoke(self, what: int | Subject, reason: str = "unspecified") -> list[Issued]:
        """Make certificates void, and write the revocation list.

        Parameters
        ----------
        what : int, Identity or Server
            A serial number; or whose certificates, all that have not ended.
        reason : str
            A key of `becomingone.provisioning.identities.certificates.REASONS`.

        Returns
        -------
        list of Issued
            What is void now and was not before.

        Raises
        ------
        ConfigError
            There is nothing of that kind to revoke, or as for `issue`.
        ProvisioningError
            The disk refuses.
        """
        return self.revocations.revoke(what, reason)

    def write_crl(self) -> Path:
        """Write ``crl.pem`` anew, with the next number, and give its path; errors as of `issue`."""
        return self.revocations.write()

    def _issue(
        self, subject: Subject, key: ec.EllipticCurvePublicKey, hosts: Sequence[str], days: int, *, requested: bool
    ) -> x509.Certificate:
        check_subject(subject)
        names = check_hosts(hosts) if isinstance(subject, Server) else ()
        if hosts and not names:
            raise ConfigError(f"{subject.id}: only a server has host names, and this is a {subject.role}")
        if not 1 <= days <= 36_500:
            raise ConfigError(f"days {days}: must be 1..36500")
        with self.folder.locked():
            now, signer = self._signing.time_to_sign(), self._signing.key()
            since = max(now - certificates.EARLY, certificates.begins(self.certificate))
            until = min(now + timedelta(days=days), self.not_after)
            certificate = certificates.member_certificate(
                subject, key, names, _serial(self._random_bytes), since, until, self.certificate, signer
            )
            self._ledger.add_issued(
                Issued(
                    serial=certificate.serial_number,
                    identity=subject.id,
                    role=subject.role,
                    not_before=since,
                    not_after=until,
                    sha256=certificate.fingerprint(hashes.SHA256()).hex(),
                    key_sha256=key_digest(key),
                    requested=requested,
                    der=certificate.public_bytes(serialization.Encoding.DER),
                )
            )
        return certificate


def _serial(random_bytes: Callable[[int], bytes]) -> int:
    """Draw a serial number of 159 bits: positive, and 20 bytes at most (RFC 5280, 4.1.2.2)."""
    return int.from_bytes(random_bytes(20), "big") >> 1
