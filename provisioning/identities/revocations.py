"""What is void: recorded first, then written into the list that the broker loads.

The list holds as long as the authority itself: it is carried to the broker by hand or by a playbook and fetched from
nowhere, so an end of its own would make nothing fresher, and a broker whose list has ended refuses everybody (OpenSSL,
``X509_V_ERR_CRL_HAS_EXPIRED``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from becomingone.errors import ConfigError
from becomingone.provisioning.identities.certificates import REASONS, UNREADABLE, Void, ends, revocation_list
from becomingone.provisioning.identities.keys import check_public
from becomingone.provisioning.identities.ledger import Issued, Ledger, Record
from becomingone.provisioning.identities.secrets_folder import write
from becomingone.provisioning.identities.signing import Signing
from becomingone.provisioning.identities.subject import Subject


class Revocations:
    """The void certificates of an authority.

    Parameters
    ----------
    signing : Signing
        What signs the list.
    ledger : Ledger
        The record of what was issued.
    """

    def __init__(self, signing: Signing, ledger: Ledger) -> None:
        self._signing = signing
        self._ledger = ledger
        self.path: Path = signing.folder.path / "crl.pem"

    def check(self, whom: Sequence[int | Subject]) -> None:
        """Find out before anything is changed whether all of these can be revoked; errors as of `revoke`."""
        record, now = self._ledger.read(), self._signing.time_to_sign()
        for what in whom:
            _revocable(what, record, now)
        self._signing.key()

    def revoke(self, what: int | Subject, reason: str) -> list[Issued]:
        """Make certificates void, and write the list; see `Authority.revoke`."""
        if reason not in REASONS:
            raise ConfigError(f"reason {reason!r}: must be one of {', '.join(REASONS)}")
        with self._signing.folder.locked():
            now = self._signing.time_to_sign()
            self._signing.key()
            found = _revocable(what, self._ledger.read(), now)
            fresh = [one for one in found if one.revoked is None]
            for one in fresh:
                self._ledger.add_revoked(one.serial, now, reason)
            self.write()
        return fresh

    def write(self) -> Path:
        """Write the list anew, with the next number, and give its path; errors as of `Authority.issue`."""
        with self._signing.folder.locked():
            now, key, record = self._signing.time_to_sign(), self._signing.key(), self._ledger.read()
            voids = [Void(one.serial, one.revoked, one.reason) for one in record.void if one.revoked is not None]
            authority = self._signing.certificate
            made = revocation_list(voids, record.crl + 1, now, ends(authority), authority, key)
            self._ledger.add_crl(record.crl + 1, now)  # first: no two lists may have one number, and a gap does no harm
            write(self.path, made.public_bytes(serialization.Encoding.PEM).decode("ascii"), mode=0o644)
        return self.path

    def missing(self) -> list[Issued]:
        """Give what is void and not in the list, as after a crash between the record and the list.

        Raises
        ------
        ConfigError
            The list is not there, damaged, or another authority's.
        """
        hint = "becomingone provision crl writes it anew"
        try:
            listed = x509.load_pem_x509_crl(self.path.read_bytes())
            genuine = listed.is_signature_valid(check_public(self._signing.certificate.public_key()))
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror or error}; {hint}") from error
        except UNREADABLE:
            raise ConfigError(f"{self.path} is damaged; {hint}") from None
        if not genuine:
            raise ConfigError(f"{self.path} is not signed by this authority; {hint}")
        void = self._ledger.read().void
        return [one for one in void if listed.get_revoked_certificate_by_serial_number(one.serial) is None]


def _revocable(what: int | Subject, record: Record, now: datetime) -> Sequence[Issued]:
    if isinstance(what, int):
        one = record.find(what)
        if one is None:
            raise ConfigError(f"serial {what:x}: no certificate of this cell has that number")
        return [one]
    found = [one for one in record.of(what.id) if one.not_after > now]
    if not found:
        raise ConfigError(f"{what.id}: has no certificate that has not ended; there is nothing to revoke")
    return found
