"""Certificates and passwords that are wrong, on either side: each told in a line, and tried again in peace."""

import asyncio
import base64
import datetime
import hashlib

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from becomingone.broker.embedded import free_port
from becomingone.broker.reasons import Reason

from .authority import Authority
from .bench import LOCALHOST, Mosquitto

DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "another authority")


def issue_server(authority, name, days_ago, for_days):
    start, life = -days_ago * DAY, for_days * DAY
    return authority._issue("server", (name,), ExtendedKeyUsageOID.SERVER_AUTH, start=start, life=life)


def tls_lines(ca, identity):
    return [f"cafile {ca}", f"certfile {identity.certificate}", f"keyfile {identity.key}"]


@pytest.mark.mosquitto
@pytest.mark.parametrize(
    ("server", "trusted", "reason", "text"),
    [
        (
            lambda a: a.server(),
            lambda _a, s: s.ca,
            Reason.AUTHORITY,
            "the broker's certificate is not trusted: ANY; set broker.ca to its authority's file",
        ),
        (
            lambda a: issue_server(a, "localhost", 10, 1),
            lambda a, _s: a.ca,
            Reason.VALIDITY,
            "the broker's certificate has expired",
        ),
        (
            lambda a: issue_server(a, "localhost", -2, 5),
            lambda a, _s: a.ca,
            Reason.VALIDITY,
            "the broker's certificate is not valid yet; is this machine's clock right?",
        ),
        (
            lambda a: issue_server(a, "broker.example.org", 0, 5),
            lambda a, _s: a.ca,
            Reason.HOST_NAME,
            "the broker's certificate is not for localhost; name the host as the certificate does",
        ),
    ],
    ids=["unknown authority", "expired", "not yet valid", "other host"],
)
def test_a_broker_whose_certificate_is_wrong(bench, told, tmp_path, authority, stranger, server, trusted, reason, text):
    with Mosquitto(tmp_path, *tls_lines(authority.ca, server(authority))) as broker:
        link = bench.link("x", f"mqtts://localhost:{broker.port}", ca=trusted(authority, stranger))
        told(link, reason, f"localhost:{broker.port}: {text}")


@pytest.mark.mosquitto
@pytest.mark.parametrize(
    ("scheme", "identity", "text"),
    [
        ("mqtts", lambda a, _s: a.client("late", since_days=10, for_days=1), "it has expired"),
        ("wss", lambda a, _s: a.client("late", since_days=10, for_days=1), "it has expired"),
        ("mqtts", lambda _a, s: s.client("stranger"), "the broker does not know the authority that signed it"),
        ("mqtts", lambda _a, _s: None, "there is none; set broker.certificate and broker.key"),
    ],
    ids=["expired", "expired, WebSocket", "unknown authority", "none"],
)
def test_a_client_whose_certificate_is_wrong(bench, told, tmp_path, authority, stranger, identity, text, scheme):
    mine = identity(authority, stranger)
    files = {} if mine is None else {"certificate": mine.certificate, "key": mine.key}
    port = free_port(LOCALHOST)
    lines = [f"listener {port} {LOCALHOST}", *tls_lines(authority.ca, authority.server()), "require_certificate true"]
    if scheme == "wss":
        lines.append("protocol websockets")
    with Mosquitto(tmp_path, *lines):
        link = bench.link("x", f"{scheme}://localhost:{port}", ca=authority.ca, **files)
        line = f"localhost:{port}: the broker refused this client's certificate: {text}"
        if scheme == "mqtts":
            told(link, Reason.IDENTITY, line)
            return
        # In TLS 1.3 the alert follows the handshake, and the reset that the upgrade request meets may overtake it.
        link.start()
        assert bench.until(lambda: line in link.reasons, timeout_s=20)
        assert set(link.reasons) <= {
            line,
            f"localhost:{port}: the broker ended the TLS handshake; is this its TLS port?",
        }
        assert set(link.metrics.failures) <= {Reason.IDENTITY, Reason.NO_TLS}
        assert not link.connected


@pytest.mark.mosquitto
def test_tls_and_no_tls_mistaken_for_each_other(bench, told, tmp_path, authority):
    plain = free_port(LOCALHOST)
    lines = [*tls_lines(authority.ca, authority.server()), f"listener {plain} {LOCALHOST}"]
    with Mosquitto(tmp_path, *lines) as broker:
        link = bench.link("x", f"mqtts://localhost:{plain}", ca=authority.ca)
        told(link, Reason.NO_TLS, f"localhost:{plain}: the broker ended the TLS handshake; is this its TLS port?")
        link = bench.link("y", f"mqtt://localhost:{broker.port}")
        text = "the broker closed the connection on CONNECT; does it want TLS on this port?"
        told(link, Reason.BROKEN, f"localhost:{broker.port}: {text}")


def test_a_web_server_instead_of_tls(bench, told):
    async def serve(reader, writer):
        await reader.read(5)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)

    server = bench.serve(serve)
    text = "the broker does not speak TLS on this port; use mqtt:// or ws://, or its TLS port"
    told(bench.link("x", server.url.replace("mqtt", "mqtts")), Reason.NO_TLS, f"{LOCALHOST}:{server.port}: {text}")


def test_certificate_files_that_vanish_while_a_link_lives(bench, told, tmp_path, authority):
    ca = tmp_path / "ca.crt"
    ca.write_bytes(authority.ca.read_bytes())
    link = bench.link("x", "mqtts://localhost", ca=ca)
    ca.unlink()
    told(link, Reason.FILES, f"broker.ca: {ca} cannot be read: No such file or directory")


# -- passwords -----------------------------------------------------------------------------------------------------


def hashed(password: str) -> str:
    """Mosquitto's form of a password: PBKDF2 with SHA-512 (mosquitto_passwd(1))."""
    salt = b"0123456789ab"
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


@pytest.mark.mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_and_none(bench, told, tmp_path, protocol):
    passwords = tmp_path / "passwords"
    passwords.write_text(f"kitchen:{hashed('right')}\n")
    with Mosquitto(tmp_path, f"password_file {passwords}", anonymous=False) as broker:
        url = f"mqtt://{LOCALHOST}:{broker.port}"
        refused = f"{LOCALHOST}:{broker.port}: the broker refused the connection: Not authorized; "
        text = "are kitchen and the password right, and may it use the client id x?"
        link = bench.link("x", url, protocol=protocol, username="kitchen", password="wrong")
        told(link, Reason.CREDENTIALS, refused + text)
        text = "broker.username and broker.password, or broker.certificate and broker.key, are not set"
        told(bench.link("y", url, protocol=protocol), Reason.CREDENTIALS, refused + text)
        link = bench.up(bench.link("z", url, protocol=protocol, username="kitchen", password="right"))
        assert link.reasons == []
        assert "right" not in repr(link._settings)
