"""A cell with its tokens, and its enrolment server on a real socket, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from becomingone.provisioning.identities.cell_folder import create_cell
from becomingone.provisioning.identities.cell_secrets import CellSecrets
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.join.client import Endpoint
from becomingone.provisioning.join.connections import LIMITS, Limits
from becomingone.provisioning.join.enrolment import Enrolment
from becomingone.provisioning.join.joining import Join, Patience, joined
from becomingone.provisioning.join.machine import Machine
from becomingone.provisioning.join.messages import Request
from becomingone.provisioning.join.node_files import RenderedNodes
from becomingone.provisioning.join.rate import Allowance, RateLimit
from becomingone.provisioning.join.server import EnrolmentServer
from becomingone.provisioning.join.tls import ServerIdentity
from becomingone.provisioning.join.token import JoinToken, grouped
from becomingone.provisioning.join.token_file import TokenFile, TokenRecord

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
PLENTY = Allowance(burst=1e9, per_s=1e9)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, time: datetime = NOON) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time


class Cell:
    """A cell folder with two nodes, and all that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.authority = create_cell(folder, "home", now=self.clock)
        self.secrets = CellSecrets.open(folder / "secrets/cell.yaml")
        self.tokens = TokenFile(folder / "secrets/tokens.yaml")
        self.audit = folder / "secrets/enrolments.jsonl"
        for node in ("kitchen", "porch"):
            self.render(node)

    def render(self, node: str, broker: str = "mqtts://localhost:8883") -> Path:
        path = self.folder / "out/nodes" / node / "node.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"cell: home\nnode: {node}\nhardware: pi_zero\nbroker:\n  url: {broker}\n"
            "  ca: /etc/becomingone/tls/ca.crt\n  certificate: /etc/becomingone/tls/node.crt\n"
            f"  key: /run/credentials/becomingone-{node}.service/tls_key\n"
            "inputs:\n  - {name: walk, kind: synthetic}\n"
            f"security:\n  key: !secret node_key\n  hub_public_key: {self.secrets.hub_public_key.hex()}\n"
        )
        return path

    def token(
        self, node: str = "kitchen", *, approve: bool = False, valid: timedelta = timedelta(hours=1)
    ) -> JoinToken:
        token = JoinToken.make(node, self.authority.fingerprint, secrets.token_bytes)
        now = self.clock()
        with self.tokens.locked() as tokens:
            tokens.put(
                TokenRecord(node=node, digest=token.digest, made=now, expires=now + valid, approve=approve), now=now
            )
        return token

    def state(self, node: str = "kitchen") -> str:
        record = self.record(node)
        return record.state

    def record(self, node: str = "kitchen") -> TokenRecord:
        with self.tokens.locked() as tokens:
            record = tokens.of(node)
        assert record is not None
        return record

    def set_state(self, state: str, node: str = "kitchen") -> None:
        with self.tokens.locked() as tokens:
            record = tokens.of(node)
            assert record is not None
            tokens.put(record.model_copy(update={"state": state}))

    def certificates(self, node: str = "kitchen") -> list[str]:
        """The digests of the keys for which there are certificates, one for each certificate."""
        return [one.key_sha256 for one in self.authority.issued() if one.identity == node]

    def enrolment(self, node_files=None) -> Enrolment:
        files = node_files or RenderedNodes(self.folder / "out", self.folder / "secrets/cell.yaml")
        return Enrolment(self.tokens, self.authority, files, self.audit, now=self.clock)


class Served:
    """An enrolment server in a thread of its own."""

    def __init__(self, cell: Cell, *, limits: Limits = LIMITS, rate: RateLimit | None = None) -> None:
        identity = ServerIdentity(Members(cell.authority), cell.clock)
        identity.context()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = Endpoint("127.0.0.1", self.listener.getsockname()[1])
        self.cell = cell
        self._loop = asyncio.new_event_loop()
        self.failures: list[object] = []
        self._loop.set_exception_handler(lambda _, context: self.failures.append(context))
        self.server = EnrolmentServer(
            cell.enrolment(),
            cell.authority.certificate_pem,
            identity.context,
            limits=limits,
            rate=rate if rate is not None else RateLimit(time.monotonic, per_address=PLENTY, in_all=PLENTY),
        )
        self._thread = threading.Thread(target=self._run)
        self._task: asyncio.Task[None]
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self.server.serve(self.listener))
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()
        assert not self.failures, f"left to the event loop: {self.failures}"

    def open_tls(self) -> ssl.SSLSocket:
        """Connect as a stranger would."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection((self.endpoint.host, self.endpoint.port), 5)
        try:
            return context.wrap_socket(plain)
        except BaseException:
            plain.close()
            raise

    def exchange(self, raw: bytes) -> bytes:
        """Send bytes, and read all that comes."""
        with self.open_tls() as sock:
            sock.settimeout(20)
            with contextlib.suppress(OSError):
                sock.sendall(raw)
            return read_all(sock)

    def post(self, body: bytes, path: str = "/enrol") -> tuple[int, bytes]:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        answer = self.exchange(head.encode() + body)
        first, _, rest = answer.partition(b"\r\n")
        return int(first.split()[1]), rest.partition(b"\r\n\r\n")[2]


def read_all(sock: ssl.SSLSocket) -> bytes:
    found = bytearray()
    with contextlib.suppress(OSError):
        while data := sock.recv(65536):
            found += data
    return bytes(found)


@contextlib.contextmanager
def serving(cell: Cell, **settings) -> Generator[Served]:
    served = Served(cell, **settings)
    try:
        yield served
    finally:
        served.close()


def csr(node: str, key: ec.EllipticCurvePrivateKey | None = None) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])
    made = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = made.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def request(token: JoinToken, *, node: str | None = None, named: str | None = None, key=None) -> Request:
    """A request with a token; `node`: who it says it is for, `named`: whom its certificate request names."""
    node = node or token.node
    return Request(node=node, token=SecretStr(grouped(token.secret)), csr=csr(named or node, key))


def joined_as(root: Path) -> str | None:
    return joined(Machine(root))


class Joining:
    """A machine that joins, with all that it told."""

    def __init__(self, root: Path, token: JoinToken, endpoint: Endpoint, *, clock=None, check=None) -> None:
        self.machine = Machine(root)
        self.told: list[str] = []
        self.slept: list[float] = []
        self.on_sleep = lambda: None
        self._monotonic = 0.0
        self.join = Join(
            self.machine,
            token,
            lambda: [endpoint],
            now=clock or Clock(),
            patience=Patience(self._sleep, lambda: self._monotonic, 300.0, lambda: 0.5),
            tell=self.told.append,
            check=check or (lambda _: None),
        )

    def _sleep(self, pause_s: float) -> None:
        self.slept.append(pause_s)
        self._monotonic += pause_s
        self.on_sleep()
