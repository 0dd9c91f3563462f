"""Server and machine are killed at random moments, again and again; then both are let finish."""

import random
import shutil
import time
from datetime import UTC, datetime

import pytest

from becomingone.provisioning.join.joining import joined
from becomingone.provisioning.join.machine import Machine

from .processes import Server, join, start_join, token_of

ROUNDS = 50


@pytest.mark.slow
def test_whatever_is_killed_and_whenever_one_key_gets_one_certificate_and_the_node_joins(cell, tmp_path):
    """Each round: a new token; a machine joins; one of them, or both, are killed once or twice on the way.

    Then server and machine run undisturbed: the machine joins, with one certificate for this token; and another
    machine with the same token is refused.
    """
    cell.clock.time = datetime.now(UTC)
    randomly = random.Random(7)
    root, other, file = tmp_path / "node", tmp_path / "other", tmp_path / "token"
    server = Server(cell.folder, tmp_path / "log")
    server.start()
    try:
        server.wait()
        kills = {"server": 0, "machine": 0}
        moments = []
        for turn in range(ROUNDS):
            shutil.rmtree(root, ignore_errors=True)
            text = token_of(cell.folder, "kitchen")
            file.write_text(text)
            before = len(cell.certificates())
            for _ in range(randomly.choice((1, 2))):
                machine = start_join(root, server.url, file)
                pause = randomly.uniform(0.0, 0.4)
                try:
                    asks(root, machine)
                    end = time.monotonic() + pause
                    while time.monotonic() < end and machine.poll() is None:
                        time.sleep(0.002)
                    if randomly.random() < 0.5:
                        server.kill()
                        kills["server"] += 1
                        server.start()
                finally:
                    if machine.poll() is None:
                        machine.kill()
                        kills["machine"] += 1
                    machine.wait()
                moments.append(cell.state())
            server.wait()
            done = join(root, server.url, text, code=0)
            assert "joined as kitchen" in done.stdout  # or "has joined as kitchen already"
            assert joined(Machine(root)) == "kitchen"
            assert cell.certificates()[before:] == [cell.record().key]
            assert cell.state() == "used"
            shutil.rmtree(other, ignore_errors=True)
            if turn % 5 == 0:
                assert "used already" in join(other, server.url, text, code=1).stderr
        print(kills, {state: moments.count(state) for state in set(moments)})
        assert min(kills.values()) > ROUNDS / 4
    finally:
        server.kill()


def asks(root, machine):
    """Wait until the machine has its key, and so is about to ask: the program's own start is of no interest."""
    end = time.monotonic() + 60
    while machine.poll() is None and not list(Machine(root).credentials.glob("becomingone.*")):
        assert time.monotonic() < end
        time.sleep(0.002)
