"""What the supervisor is told, on a real socket."""

import os
import socket
from pathlib import Path

import pytest

from becomingone.node.notify import Notifier

from .supervisor import Supervisor


@pytest.mark.parametrize("abstract", [False, True])
def test_every_word_arrives_in_its_order(tmp_path: Path, abstract: bool) -> None:
    with Supervisor(tmp_path, abstract=abstract) as supervisor:
        notifier = supervisor.notifier()
        assert notifier.active
        notifier.extend(1.5)
        notifier.ready("connected;\n2 of 2")
        notifier.alive()
        notifier.reloading(123)
        notifier.status("x" * 1000)
        notifier.stopping("stops")
        notifier.close()
        notifier.alive()
        supervisor.listen()
    assert supervisor.heard == [
        {"EXTEND_TIMEOUT_USEC": "1500000"},
        {"READY": "1", "STATUS": "connected; 2 of 2"},
        {"WATCHDOG": "1"},
        {"RELOADING": "1", "MONOTONIC_USEC": "123"},
        {"STATUS": "x" * 600},
        {"STOPPING": "1", "STATUS": "stops"},
    ]
    assert notifier.unsent == 0


def test_without_a_supervisor_nothing_is_said_and_nothing_fails() -> None:
    notifier = Notifier({})
    assert not notifier.active
    assert notifier.watchdog_ns is None
    notifier.ready("")
    notifier.alive()
    assert notifier.unsent == 0


def test_an_address_of_another_kind_is_told_and_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert not Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).active
    assert "vsock:2:1234" in caplog.text


def test_what_must_be_known_is_said_again_once_somebody_listens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.ready("connected")
    notifier.alive()
    assert notifier.unsent == 2
    assert caplog.text.count("cannot be told") == 1
    with Supervisor(tmp_path) as supervisor:
        notifier.alive()
        supervisor.listen()
    assert supervisor.words == ["READY", "WATCHDOG"]
    notifier.close()


def test_a_supervisor_that_does_not_read_holds_nobody_up_for_long(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        notifier = supervisor.notifier()
        for _ in range(100_000):  # until its queue is full
            notifier.alive()
            if notifier.unsent:
                break
        assert notifier.unsent == 1
        notifier.ready("at last")
        supervisor.listen()
        notifier.alive()
        supervisor.listen()
    assert supervisor.words[-2:] == ["READY", "WATCHDOG"]


def test_what_is_owed_is_bounded(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    for number in range(100):
        notifier.ready(f"{number}")
    with Supervisor(tmp_path) as supervisor:
        notifier.alive()
        supervisor.listen()
    assert [message["STATUS"] for message in supervisor.heard[:-1]] == ["96", "97", "98", "99"]
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30_000_000_000),
        ({"WATCHDOG_USEC": "1", "WATCHDOG_PID": str(os.getpid())}, 1000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_wanted_by_this_process_or_by_nobody(environ: dict[str, str], expected: int | None) -> None:
    assert Notifier(environ).watchdog_ns == expected


def test_no_child_inherits_the_socket(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        notifier = supervisor.notifier()
        inner = notifier._socket
        assert isinstance(inner, socket.socket)
        assert not inner.get_inheritable()
        notifier.close()
