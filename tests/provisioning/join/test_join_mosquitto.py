"""What a joined machine has works: a real Mosquitto with mutual TLS takes it, and nobody without."""

import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization

from becomingone.broker.ports import free_port
from becomingone.provisioning.identities.keys import key_pem, new_key
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.identities.subject import Server, subject_of

from .cell import Joining

TOPIC = "becomingone/home/node/kitchen/state"


@pytest.mark.mosquitto
def test_a_joined_node_talks_to_the_cell_s_broker_and_a_stranger_does_not(cell, served, tmp_path):
    cell.clock.time = datetime.now(UTC)
    port = free_port("127.0.0.1")
    members = Members(cell.authority)
    for name in ("broker", "operator:anna"):
        members.make(subject_of(name), hosts=["localhost", "127.0.0.1"] if name == "broker" else ())
    config = broker_config(cell, members, tmp_path, port)
    one = Joining(tmp_path / "node", cell.token(), served.endpoint, clock=cell.clock)
    one.join.run()
    machine = one.machine
    node = ["--cafile", machine.authority, "--cert", machine.certificate, "--key", machine.key]
    anna = members.folder(subject_of("operator:anna"))
    operator = ["--cafile", machine.authority, "--cert", anna / "tls.crt", "--key", anna / "tls.key"]
    words = [sys.executable, "-m", "becomingone", "broker", "run", str(config), "--stop-with-stdin"]
    broker = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_broker(port, operator)
        said = mosquitto("pub", port, node, "-t", TOPIC, "-r", "-q", "1", "-m", "ready", "-V", "5")
        assert said.returncode == 0, said.stderr
        heard = mosquitto("sub", port, operator, "-t", TOPIC, "-C", "1", "-W", "10")
        assert heard.stdout.strip() == "ready", heard.stderr
        other = mosquitto("pub", port, node, "-t", TOPIC.replace("kitchen", "porch"), "-q", "1", "-m", "x", "-V", "5")
        assert "Not authorized" in other.stderr
        assert mosquitto("pub", port, stranger(cell, tmp_path, machine), "-t", TOPIC, "-m", "x").returncode != 0
    finally:
        broker.kill()
        broker.communicate()


def broker_config(cell, members, tmp_path, port):
    folder = members.folder(Server("broker"))
    path = tmp_path / "broker.yaml"
    path.write_text(
        f"cell: home\nkind: mosquitto\nstate_dir: {tmp_path / 'state'}\n"
        f"listeners:\n  - {{address: 127.0.0.1, port: {port}, tls: true, login: certificate}}\n"
        f"tls: {{certificate: {folder / 'tls.crt'}, key: {folder / 'tls.key'}, ca: {cell.folder / 'secrets/ca.crt'}, "
        f"revoked: {cell.folder / 'secrets/crl.pem'}}}\n"
        "identities: {nodes: [kitchen, porch], operators: [anna]}\n"
    )
    return path


def stranger(cell, tmp_path, machine):
    """The node's own certificate, with another key: what somebody has who has only listened."""
    key = tmp_path / "stranger.key"
    key.write_text(key_pem(new_key()))
    assert serialization.load_pem_private_key(key.read_bytes(), None)
    return ["--cafile", machine.authority, "--cert", machine.certificate, "--key", key]


def mosquitto(what, port, identity, *words):
    line = [f"mosquitto_{what}", "-h", "127.0.0.1", "-p", str(port), *map(str, identity), *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=20, check=False)


def wait_for_broker(port, identity):
    end = time.monotonic() + 30
    while True:
        done = mosquitto("pub", port, identity, "-t", "becomingone/home/request/kitchen/x", "-q", "1", "-m", "{}")
        if done.returncode == 0:
            return
        assert time.monotonic() < end, done.stderr
        time.sleep(0.1)
