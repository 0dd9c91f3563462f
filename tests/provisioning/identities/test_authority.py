"""What the authority signs: OpenSSL takes it, it says whom it names, and nothing else gets signed."""

from __future__ import annotations

import itertools
import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from becomingone.broker.access import Identity
from becomingone.errors import ConfigError
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.certificates import begins, ends
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.identities.subject import Server

from .cells import START, Clock, content, openssl, request, verified

KITCHEN = Identity("node", "kitchen")
ANNA = Identity("operator", "anna")
BROKER = Server("broker")
HOSTS = ["attic.local", "192.0.2.10", "2001:db8::10"]


def test_openssl_takes_everybody_as_strictly_as_it_can(members: Members, authority: Authority) -> None:
    secrets_folder = authority.folder.path
    for subject, purpose, other in (
        (KITCHEN, "sslclient", "sslserver"),
        (Identity("hub", "hub"), "sslclient", "sslserver"),
        (ANNA, "sslclient", "sslserver"),
        (BROKER, "sslserver", "sslclient"),
    ):
        members.make(subject, hosts=HOSTS if subject == BROKER else ())
        path = members.folder(subject) / "tls.crt"
        assert verified(secrets_folder, path, purpose, START).endswith("tls.crt: OK\n")
        assert "unsuitable certificate purpose" in verified(secrets_folder, path, other, START)
    assert "OK" in openssl(
        "verify", "-x509_strict", "-attime", str(int(START.timestamp())), "-CAfile",
        secrets_folder / "ca.crt", secrets_folder / "ca.crt",
    )  # fmt: skip


def test_openssl_refuses_what_is_revoked_and_only_that(members: Members, authority: Authority) -> None:
    for name in ("kitchen", "porch"):
        members.make(Identity("node", name))
    authority.revoke(KITCHEN, "key-compromise")
    said = {
        name: verified(authority.folder.path, members.folder(Identity("node", name)) / "tls.crt", "sslclient", START)
        for name in ("kitchen", "porch")
    }
    assert "certificate revoked" in said["kitchen"]
    assert said["porch"].endswith(": OK\n")
    told = openssl("crl", "-in", authority.folder.path / "crl.pem", "-noout", "-text")
    assert "Key Compromise" in told
    assert "X509v3 Authority Key Identifier" in told


def test_the_list_holds_as_long_as_the_authority(members: Members, authority: Authority) -> None:
    members.make(KITCHEN, days=3650)
    path = members.folder(KITCHEN) / "tls.crt"
    last = authority.not_after - timedelta(seconds=1)
    assert verified(authority.folder.path, path, "sslclient", last).endswith(": OK\n")
    assert "expired" in verified(authority.folder.path, path, "sslclient", authority.not_after + timedelta(seconds=1))


def test_each_list_has_a_greater_number(members: Members, authority: Authority) -> None:
    def number() -> int:
        listed = x509.load_pem_x509_crl((authority.folder.path / "crl.pem").read_bytes())
        return listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number

    assert number() == 1
    for name in ("a", "b"):
        members.make(Identity("node", name))
        authority.revoke(Identity("node", name))
    assert number() == 3
    Authority.open(authority.folder.path, now=lambda: START).write_crl()
    assert number() == 4 == authority.record().crl


def test_a_certificate_says_who_and_what_for(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = authority.issue(ANNA, key, days=30)
    assert made.subject.rfc4514_string() == "CN=operator:anna,OU=operator"
    assert made.issuer.rfc4514_string() == "CN=BecomingONE,O=home"
    assert authority.cell == "home"
    assert (begins(made), ends(made)) == (START - timedelta(days=1), START + timedelta(days=30))
    broker = authority.issue(BROKER, key, hosts=HOSTS)
    names = broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == HOSTS
    assert broker.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "attic.local"
    assert broker.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)[0].value == "broker"


def test_it_is_recorded_before_it_is_given(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = authority.issue(KITCHEN, key)
    (one,) = authority.issued()
    assert (one.identity, one.role, one.serial) == ("kitchen", "node", made.serial_number)
    assert one.pem == made.public_bytes(serialization.Encoding.PEM)
    assert one.not_after == ends(made)
    (line,) = [line for line in (authority.folder.path / "issued.jsonl").read_text().splitlines() if "serial" in line]
    told = openssl("x509", "-noout", "-fingerprint", "-sha256", stdin=one.pem).partition("=")[2].strip()
    assert json.loads(line)["sha256"] == told.replace(":", "").lower()


def test_serial_numbers_are_of_159_bits(tmp_path: Path, clock: Clock) -> None:
    drawn = [bytes([255] * 20), bytes([0] * 19 + [2]), bytes([128] + [0] * 19)]
    folder = tmp_path / "secrets"
    folder.mkdir(0o700)
    made = Authority.create(folder, "home", now=clock, random_bytes=lambda _count: drawn.pop(0))
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    serials = [made.certificate.serial_number, *(made.issue(KITCHEN, key).serial_number for _ in range(2))]
    assert serials == [2**159 - 1, 1, 2**158]
    real = Authority.open(folder, now=clock)
    drawn_now = {real.issue(KITCHEN, key).serial_number.bit_length() for _ in range(20)}
    assert max(drawn_now) in (158, 159)
    assert len(real.issued()) == 22


def test_what_is_asked_for_is_not_what_is_signed(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.load_pem_x509_certificate(authority.sign_request(request("hub", key), KITCHEN))
    assert made.subject.rfc4514_string() == "CN=kitchen,OU=node"
    assert made.public_key().public_numbers() == key.public_key().public_numbers()  # type: ignore[union-attr]
    assert authority.issued()[0].requested


def test_a_request_that_cannot_be_signed_is_refused(authority: Authority) -> None:
    good = request()
    other = request(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    der = bytearray(x509.load_pem_x509_csr(good).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1  # the signature's last byte
    forged = openssl("req", "-inform", "DER", "-outform", "PEM", stdin=bytes(der)).encode()
    for bad, says in (
        (b"", "damaged"),
        (b"hello", "damaged"),
        (good[:-60], "damaged"),
        (good * 60, "at most 16384 bytes"),
        (other, "must be on the curve P-256"),
        (request(curve=ec.SECP384R1()), "must be on the curve P-256"),
        (forged, "not signed with the key"),
    ):
        with pytest.raises(ConfigError, match=says):
            authority.sign_request(bad, KITCHEN)
    assert authority.issued() == []


@pytest.mark.parametrize(
    ("subject", "hosts", "days", "says"),
    [
        (Identity("node", "hub"), (), 1, "that name is the hub's own"),
        (Identity("node", "broker"), (), 1, "that name is the broker's own"),
        (Identity("hub", "attic"), (), 1, "whose name is hub"),
        (Identity("operator", "a" * 63), (), 1, "at most 55 characters"),
        (KITCHEN, ("kitchen.local",), 1, "only a server has host names"),
        (BROKER, (), 1, "--host"),
        (BROKER, ("*.local",), 1, "host '\\*.local': must be"),
        (BROKER, ("küche.local",), 1, "must be a host name"),
        (BROKER, ("192.0.2.300",), 1, "must be a host name"),
        (BROKER, ("a b",), 1, "must be a host name"),
        (BROKER, ("",), 1, "must be a host name"),
        (BROKER, (f"{'a' * 63}.local",), 1, "at most 64"),
        (KITCHEN, (), 0, "1..36500"),
        (KITCHEN, (), 36_501, "1..36500"),
    ],
)
def test_what_cannot_be_signed_is_refused(authority: Authority, subject, hosts, days: int, says: str) -> None:
    before = content(authority.folder.path)
    with pytest.raises(ConfigError, match=says):
        authority.issue(subject, ec.generate_private_key(ec.SECP256R1()).public_key(), hosts=hosts, days=days)
    assert content(authority.folder.path) == before


def test_nobody_outlives_the_authority(authority: Authority, clock: Clock) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    clock.forward(3640)
    assert ends(authority.issue(KITCHEN, key)) == authority.not_after
    clock.forward(11)
    with pytest.raises(ConfigError, match=r"the authority ended on 2036-04-28"):
        authority.issue(KITCHEN, key)


@pytest.mark.parametrize(
    "now",
    [
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2023, 6, 1, tzinfo=UTC),
        datetime(2200, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
)
def test_a_clock_that_was_never_set_is_refused(tmp_path: Path, authority: Authority, clock: Clock, now) -> None:
    clock.now = now
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    for act in (lambda: authority.issue(KITCHEN, key), authority.write_crl, authority.unlock):
        with pytest.raises(ConfigError, match="the clock says"):
            act()
    folder = tmp_path / "other"
    folder.mkdir(0o700)
    with pytest.raises(ConfigError, match="the clock says"):
        Authority.create(folder, "home", now=clock)
    assert content(folder) == {}


def test_a_clock_before_the_authority_s_own_time_is_refused(authority: Authority, clock: Clock) -> None:
    clock.forward(-2)
    with pytest.raises(ConfigError, match="the authority is younger"):
        authority.unlock()


def test_a_passphrase_locks_signing_and_nothing_else(tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(0o700)
    asked = itertools.count()

    def ask() -> bytes:
        next(asked)
        return b"correct horse battery"

    made = Authority.create(folder, "home", passphrase=b"correct horse battery", now=clock)
    assert b"ENCRYPTED" in (folder / "ca.key").read_bytes()
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    locked = Authority.open(folder, now=clock)
    assert locked.fingerprint == made.fingerprint
    assert locked.issued() == []
    with pytest.raises(ConfigError, match=r"ca.key has a passphrase, and none was given"):
        locked.issue(KITCHEN, key)
    with pytest.raises(ConfigError, match="the passphrase is wrong"):
        Authority.open(folder, passphrase=b"wrong", now=clock).issue(KITCHEN, key)
    opened = Authority.open(folder, passphrase=ask, now=clock)
    assert (opened.issued(), next(asked)) == ([], 0)
    opened.issue(KITCHEN, key)
    opened.issue(KITCHEN, key)
    assert next(asked) == 2
    (tmp_path / "third").mkdir(0o700)
    with pytest.raises(ConfigError, match="at least 12 characters"):
        Authority.create(tmp_path / "third", "home", passphrase=b"short", now=clock)
    assert content(tmp_path / "third") == {}


def test_every_prefix_of_a_key_file_is_refused_by_name(authority: Authority, clock: Clock) -> None:
    path = authority.folder.path / "ca.key"
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match=r"ca.key holds no private key in PEM form"):
            Authority.open(authority.folder.path, now=clock).unlock()
    path.write_bytes(secrets.token_bytes(500))
    with pytest.raises(ConfigError, match=r"ca.key"):
        Authority.open(authority.folder.path, now=clock).unlock()


def test_files_that_do_not_belong_together_are_named(tmp_path: Path, authority: Authority, clock: Clock) -> None:
    other = tmp_path / "other"
    other.mkdir(0o700)
    Authority.create(other, "home", now=clock)
    ours = authority.folder.path
    (ours / "ca.key").write_bytes((other / "ca.key").read_bytes())
    with pytest.raises(ConfigError, match=r"ca.key is not the key of .*ca.crt"):
        Authority.open(ours, now=clock).unlock()
    (ours / "crl.pem").write_bytes((other / "crl.pem").read_bytes())
    with pytest.raises(ConfigError, match="not signed by this authority"):
        authority.revocations.missing()
    (ours / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    with pytest.raises(ConfigError, match=r"ca.crt holds no certificate"):
        Authority.open(ours, now=clock)
    (ours / "ca.crt").unlink()
    with pytest.raises(ConfigError, match="there is no authority yet: becomingone provision ca"):
        Authority.open(ours, now=clock)


def test_only_this_authority_s_certificates_can_be_revoked(members: Members, authority: Authority) -> None:
    with pytest.raises(ConfigError, match="serial 1f: no certificate of this cell"):
        authority.revoke(0x1F)
    with pytest.raises(ConfigError, match="kitchen: has no certificate that has not ended"):
        authority.revoke(KITCHEN)
    members.make(KITCHEN)
    with pytest.raises(ConfigError, match="reason 'boredom': must be one of unspecified, key-compromise"):
        authority.revoke(KITCHEN, "boredom")
    assert [one.identity for one in authority.revoke(KITCHEN)] == ["kitchen"]
    assert authority.revoke(KITCHEN) == []
