"""Members made by the commands, at a real Mosquitto that `becomingone broker run` has started."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.broker.raw_mqtt import GoneError, RawClient, RefusedError

from becomingone.broker.ports import free_port
from becomingone.cli import main

HOME = "becomingone/home/"

pytestmark = pytest.mark.mosquitto


def provision(cell: Path, *words: str) -> None:
    assert main(["provision", *words, "--cell-dir", str(cell)]) == 0


class Cell:
    """A cell whose broker runs until closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port("127.0.0.1")
        provision(folder, "ca")
        provision(folder, "node", "kitchen", "porch", "cellar", "stranger")
        provision(folder, "hub")
        provision(folder, "operator", "anna")
        provision(folder, "broker", "--host", "localhost", "--host", "127.0.0.1")
        self.config = folder / "broker.yaml"
        self.name(["kitchen", "porch", "cellar"])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "becomingone", "broker", "run", str(self.config), "--stop-with-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != f"broker: mqtts://127.0.0.1:{self.port}\n":
            self.close()
            raise AssertionError("the broker did not start")

    def name(self, nodes: list[str]) -> None:
        secrets = self.folder / "secrets"
        tls = {
            "certificate": f"{secrets}/identities/broker/tls.crt",
            "key": f"{secrets}/identities/broker/tls.key",
            "ca": f"{secrets}/ca.crt",
            "revoked": f"{secrets}/crl.pem",
        }
        content = {
            "listeners": [{"port": self.port, "tls": True}],
            "tls": tls,
            "identities": {"nodes": nodes, "operators": ["anna"]},
            "persistence": {"enabled": False},
            "state_dir": str(self.folder / "state"),
        }
        self.config.write_text(yaml.safe_dump(content))

    def files(self, name: str) -> tuple[Path, Path]:
        folder = self.folder / "secrets" / "identities" / name
        return folder / "tls.crt", folder / "tls.key"

    def context(self, certificate: Path, key: Path, ca: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(ca or self.folder / "secrets" / "ca.crt"))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(certificate, key)
        return context

    def connect(self, certificate: Path, key: Path, ca: Path | None = None) -> RawClient:
        return RawClient(self.port, version=5, tls=self.context(certificate, key, ca))

    def resume(self, context: ssl.SSLContext, session: ssl.SSLSession) -> bool:
        """Take up an earlier TLS session; tell whether the broker did, without looking at the certificate again."""
        plain = socket.create_connection(("127.0.0.1", self.port), 10)
        with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as taken:
            if not taken.session_reused:
                taken.recv(1)  # with TLS 1.3 a refused certificate shows at the first read
            return bool(taken.session_reused)

    def member(self, name: str) -> RawClient:
        return self.connect(*self.files(name))

    def copy(self, name: str) -> tuple[Path, Path]:
        """Take somebody's pair, as a thief or a machine would have it."""
        folder = self.folder / f"copy of {name}"
        folder.mkdir()
        for path in self.files(name):
            (folder / path.name).write_bytes(path.read_bytes())
        return folder / "tls.crt", folder / "tls.key"

    def served(self) -> str:
        return ssl.get_server_certificate(("127.0.0.1", self.port), timeout=10)

    def hang_up(self) -> None:
        self._process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    made = Cell(tmp_path_factory.mktemp("cell"))
    try:
        yield made
    finally:
        made.close()


def eventually(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def refused(connect: Callable[[], RawClient]) -> bool:
    try:
        connect().drop()
    except RefusedError:
        return True
    return False


def test_members_come_in_and_a_revoked_one_does_not(cell: Cell) -> None:
    with cell.member("hub") as hub, cell.member("operator.anna") as anna, cell.member("kitchen") as kitchen:
        hub.subscribe("#")
        assert kitchen.publish(f"{HOME}node/kitchen/state", b"1") == 0
        assert kitchen.publish(f"{HOME}node/porch/state", b"2") == 0x87
        assert anna.publish(f"{HOME}request/kitchen/light", b"3") == 0
        assert [one.payload for one in hub.drain()] == [b"1", b"3"]
        with cell.member("stranger") as stranger:  # signed, and named nowhere
            stranger.subscribe("#")
            assert stranger.publish(f"{HOME}node/stranger/state", b"4") == 0x87
            hub.publish(f"{HOME}snapshot", b"{}")
            assert stranger.drain() == []

        stolen = {name: cell.copy(name) for name in ("porch", "stranger")}
        context = cell.context(*stolen["porch"])
        with RawClient(cell.port, version=5, tls=context) as porch:
            session = porch._socket.session  # type: ignore[attr-defined]
            assert cell.resume(context, session)
            provision(cell.folder, "revoke", "porch", "stranger", "--reason", "key-compromise")
            cell.hang_up()
            # One name has one connection, so the other is tried until the list is in force.
            assert eventually(lambda: refused(lambda: cell.connect(*stolen["stranger"])))
            for client in (hub, anna, kitchen):
                client.ping()  # the very connections of before

            # What was open stays open, until the broker is told that there is no porch.
            porch.ping()
            assert porch.publish(f"{HOME}node/porch/state", b"5") == 0
            cell.name(["kitchen", "cellar"])
            cell.hang_up()
            assert eventually(lambda: porch.publish(f"{HOME}node/porch/state", b"6") == 0x87)
        assert refused(lambda: cell.connect(*stolen["porch"]))
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate.revoked"):
            cell.resume(context, session)
        cell.member("cellar").drop()


def test_a_renewed_member_comes_in_while_the_old_connection_lives(cell: Cell) -> None:
    old = cell.copy("cellar")
    with cell.member("hub") as hub, cell.connect(*old) as before:
        hub.subscribe("#")
        assert before.publish(f"{HOME}node/cellar/state", b"old") == 0
        provision(cell.folder, "renew", "cellar", "broker")
        before.ping()
        with cell.member("cellar") as after:  # the newer connection of one name takes over: that is MQTT
            assert after.publish(f"{HOME}node/cellar/state", b"new") == 0
            with pytest.raises(GoneError):
                before.ping()
        with cell.connect(*old) as again:  # the old certificate holds until its end
            again.ping()
        cell.hang_up()  # the broker's own new certificate comes into force, and nobody is cut off
        assert eventually(lambda: cell.served() == cell.files("broker")[0].read_text())
        hub.ping()
        assert [one.payload for one in hub.drain()] == [b"old", b"new"]


def test_nobody_else_comes_in(cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    provision(other, "ca")
    provision(other, "node", "kitchen")
    own_ca = cell.folder / "secrets" / "ca.crt"
    theirs = other / "secrets" / "identities" / "kitchen"
    for certificate, key in (
        (theirs / "tls.crt", theirs / "tls.key"),
        cell.files("broker"),  # which is for serving only
    ):
        with pytest.raises(RefusedError):
            cell.connect(certificate, key, own_ca)
    with pytest.raises(RefusedError, match="certificate verify failed"):  # and its members do not trust this broker
        cell.connect(*cell.files("kitchen"), other / "secrets" / "ca.crt")
    cell.member("kitchen").drop()
