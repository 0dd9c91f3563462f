"""A request, a certificate or a list with any byte altered is read, or refused as damaged: nothing else comes out."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from becomingone.broker.access import Identity
from becomingone.errors import ConfigError
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.identities.signing import ca_certificate, requested

from .cells import request

EIGHTH = range(0, 256, 8)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What `cryptography` warns of are names and numbers that no authority should sign; none of this is signed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def altered(der: bytes) -> Iterator[bytes]:
    """Alter every byte of it to an eighth of all values, and turn its last bit, and all of them."""
    for place in range(len(der)):
        for byte in {*EIGHTH, der[place] ^ 0xFF, der[place] ^ 1} - {der[place]}:
            yield der[:place] + bytes([byte]) + der[place + 1 :]


def pem(der: bytes, label: str) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), base64.encodebytes(der), label.encode())


def read_of(read: Callable[[bytes], object], variants: Iterator[bytes]) -> tuple[list[object], set[str]]:
    """Give what was read, and what was said where it was refused; nothing but `ConfigError` may come."""
    found, said = [], set()
    for variant in variants:
        try:
            found.append(read(variant))
        except ConfigError as error:
            said.add(str(error))
    return found, said


def test_a_request_with_a_byte_altered_is_refused() -> None:
    """Or says the very same: a signature that ends with a zero bit may say that this bit is not used."""
    der = x509.load_pem_x509_csr(request("kitchen")).public_bytes(Encoding.DER)
    right = requested(pem(der, "CERTIFICATE REQUEST"))
    assert right.names == ("kitchen",)
    found, said = read_of(lambda one: requested(pem(one, "CERTIFICATE REQUEST")), altered(der))
    assert all(one == right for one in found)
    assert len(found) <= 3
    assert {line.partition(":")[0] for line in said} >= {
        "the certificate request is damaged",
        "the certificate request is not signed with the key that it holds",
    }


def test_nonsense_that_is_signed_as_it_should_be_is_refused_or_read() -> None:
    """Whoever has a key can sign any bytes with it: a subject that is none, a version that there is not."""
    key = ec.generate_private_key(ec.SECP256R1())
    tbs = x509.load_pem_x509_csr(request("kitchen", key)).tbs_certrequest_bytes
    head = tbs.index(b"kitchen") + len(b"kitchen")

    def sign(variant: bytes) -> object:
        signature = key.sign(variant, ec.ECDSA(hashes.SHA256()))
        algorithm = bytes.fromhex("300a06082a8648ce3d040302")
        return requested(pem(tagged(0x30, variant + algorithm + tagged(3, b"\0" + signature)), "CERTIFICATE REQUEST"))

    found, said = read_of(sign, (one for one in altered(tbs) if one[head:] == tbs[head:]))
    assert found
    assert len(said) == 1
    assert "damaged" in said.pop()


def tagged(tag: int, content: bytes) -> bytes:
    """Give a value of DER."""
    size = len(content)
    length = (
        bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2, "big")
    )
    return bytes([tag]) + length + content


def test_a_certificate_with_a_byte_altered_is_read_or_refused(authority: Authority, tmp_path: Path) -> None:
    der = x509.load_pem_x509_certificate(authority.certificate_pem).public_bytes(Encoding.DER)
    path = tmp_path / "other.crt"

    def read(one: bytes) -> object:
        path.write_bytes(pem(one, "CERTIFICATE"))
        return ca_certificate(path)

    _, said = read_of(read, altered(der))
    assert said == {f"{path} holds no certificate in PEM form: it is damaged or cut short"}


def test_a_list_with_a_byte_altered_is_refused(members: Members, authority: Authority) -> None:
    members.make(Identity("node", "kitchen"))
    authority.revoke(Identity("node", "kitchen"))
    path = authority.folder.path / "crl.pem"
    der = x509.load_pem_x509_crl(path.read_bytes()).public_bytes(Encoding.DER)

    def read(one: bytes) -> object:
        path.write_bytes(pem(one, "X509 CRL"))
        return authority.revocations.missing()

    found, said = read_of(read, altered(der))
    assert found in ([], [[]], [[], []], [[], [], []])  # as with a request
    assert {line.partition("; ")[2] for line in said} == {"becomingone provision crl writes it anew"}
