"""The TLS side of the settings: every file that cannot be used is named before anything connects."""

import ssl

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from becomingone.broker.settings import BrokerSettings
from becomingone.broker.tls import client_context
from becomingone.errors import ConfigError

from .authority import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def identity(authority):
    return authority.client("kitchen")


def context_of(**files) -> ssl.SSLContext:
    context = client_context(BrokerSettings(url="mqtts://localhost", **files))
    assert context is not None
    return context


def test_without_tls_there_is_no_context():
    assert client_context(BrokerSettings(url="mqtt://localhost")) is None
    assert client_context(BrokerSettings(url="ws://localhost")) is None


def test_certificate_and_host_name_are_checked_and_old_versions_refused(authority, identity):
    context = context_of(ca=authority.ca, certificate=identity.certificate, key=identity.key)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert [dict(sum(ca["subject"], ()))["commonName"] for ca in context.get_ca_certs()] == ["test authority"]


def test_without_a_ca_the_systems_are_trusted(authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))  # OpenSSL's own variable for the system's file
    assert len(context_of().get_ca_certs()) >= 1


@pytest.mark.parametrize("field", ["ca", "certificate", "key"])
@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.write_text("not this\n"), "in PEM form"),
        (lambda path: path.write_bytes(b""), "in PEM form"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(authority, identity, tmp_path, field, make, line):
    path = tmp_path / "file"
    make(path)
    files = {"ca": authority.ca, "certificate": identity.certificate, "key": identity.key, field: path}
    with pytest.raises(ConfigError) as caught:
        context_of(**files)
    assert str(caught.value).startswith(f"broker.{field}: {path} ")
    assert line in str(caught.value)


def test_a_key_that_does_not_belong_to_the_certificate_is_named(authority, identity):
    other = authority.client("cellar")
    with pytest.raises(ConfigError, match=rf"broker.key: {other.key} is not the key of broker.certificate"):
        context_of(ca=authority.ca, certificate=identity.certificate, key=other.key)


def test_an_encrypted_key_is_refused_without_asking_for_a_pass_phrase(authority, identity, tmp_path):
    key = tmp_path / "locked.key"
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )
    with pytest.raises(ConfigError, match=rf"broker.key: {key} is encrypted"):
        context_of(ca=authority.ca, certificate=identity.certificate, key=key)
