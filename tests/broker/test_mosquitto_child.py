"""The managed Mosquitto as a process: it listens, it dies, it comes back, it ends with us, it takes on changes."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import ssl
import stat
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from becomingone.broker.backoff import Backoff
from becomingone.broker.config import BrokerConfig
from becomingone.broker.mosquitto import child as child_module
from becomingone.broker.mosquitto.child import MosquittoChild
from becomingone.broker.mosquitto.log import BrokerLog
from becomingone.broker.mosquitto.managed import ManagedMosquitto
from becomingone.errors import ConfigError, LinkError
from becomingone.scheduling import SystemClock

from .authority import Authority
from .raw_mqtt import GoneError, RawClient, RefusedError
from .standing import free, installed, program

PASSWORD = "a password that is long"


async def until(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


def config(folder: Path, **more) -> BrokerConfig:
    return BrokerConfig.model_validate({"listeners": [{"port": 0}], "state_dir": folder / "state", **more})


@asynccontextmanager
async def broker(
    wanted: BrokerConfig, mosquitto: Path | None, events: list[str]
) -> AsyncGenerator[ManagedMosquitto, None]:
    made = ManagedMosquitto(
        wanted, program(mosquitto), clock=SystemClock(), rng=random.Random(1), on_event=events.append
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def anybody(made: ManagedMosquitto) -> RawClient:
    return RawClient(made.listeners[0].port)


@pytest.mark.parametrize("mosquitto", installed())
def test_it_listens_once_it_has_started_and_is_gone_once_it_has_stopped(mosquitto: Path | None, tmp_path: Path) -> None:
    async def run() -> int:
        async with broker(config(tmp_path), mosquitto, events) as made:
            with anybody(made) as client:  # at once, without waiting
                assert client.publish("a", b"!") == 0
            assert made.pid is not None
            return made.pid

    events: list[str] = []
    pid = asyncio.run(run())
    assert not lives(pid)
    assert events == []


@pytest.mark.parametrize("mosquitto", installed())
def test_it_comes_back_on_the_same_port_with_what_it_had_kept(mosquitto: Path | None, tmp_path: Path) -> None:
    wanted = config(tmp_path, persistence={"every_s": 0})

    def stores() -> list[Path]:
        return [wanted.folder / name for name in ("mosquitto.db", "mosquitto.sqlite3", "mosquitto.sqlite3-wal")]

    async def run() -> None:
        async with broker(wanted, mosquitto, events) as made:
            with anybody(made) as client:
                client.publish("kept", b"before", retain=True)
            # An acknowledgement is no promise: it is written in the next turn of the broker's loop.
            await until(lambda: any(b"before" in kept.read_bytes() for kept in stores() if kept.exists()))
            for turn in (2, 3):
                assert made.pid is not None
                os.kill(made.pid, signal.SIGKILL)
                await until(lambda turn=turn: made.starts == turn and made.log.running)
                with anybody(made) as client:
                    client.subscribe("#")
                    assert [one.payload for one in client.drain()] == [b"before"]

    events: list[str] = []
    asyncio.run(run())
    assert events == ["Mosquitto was killed by SIGKILL; it is started again"] * 2


@pytest.mark.parametrize("mosquitto", installed())
def test_its_files_are_for_nobody_else(mosquitto: Path | None, tmp_path: Path) -> None:
    wanted = config(tmp_path, passwords={"hub": PASSWORD}, identities={"nodes": ["kitchen"]})
    wanted.folder.mkdir(parents=True, mode=0o755)

    async def run() -> None:
        async with broker(wanted, mosquitto, []):
            assert stat.S_IMODE(wanted.folder.stat().st_mode) == 0o700
            for name in ("mosquitto.conf", "access", "passwords"):
                assert stat.S_IMODE((wanted.folder / name).stat().st_mode) == 0o600
            assert PASSWORD not in "".join(
                path.read_text(errors="replace") for path in wanted.folder.iterdir() if path.suffix != ".sqlite3"
            )

    asyncio.run(run())


@pytest.mark.parametrize("mosquitto", installed())
def test_changed_rules_hold_at_once_and_nobody_is_disconnected(mosquitto: Path | None, tmp_path: Path) -> None:
    passwords = {"hub": PASSWORD, "kitchen": PASSWORD}
    before = config(tmp_path, passwords=passwords, identities={"nodes": ["kitchen"]})
    state, hub_state = "becomingone/home/node/kitchen/state", "becomingone/home/hub/state"

    async def run() -> None:
        async with broker(before, mosquitto, []) as made:
            port = made.listeners[0].port
            with (
                RawClient(port, version=5, username="hub", password=PASSWORD) as hub,
                RawClient(port, version=5, username="kitchen", password=PASSWORD) as kitchen,
            ):
                with pytest.raises(RefusedError):
                    RawClient(port, username="desk", password=PASSWORD)
                after = before.model_validate(
                    {**before.model_dump(), "identities": {"nodes": ["kitchen", "desk"]},
                     "passwords": {**passwords, "desk": PASSWORD}}
                )  # fmt: skip
                assert await made.reload(after) is False
                async with asyncio.timeout(10):
                    while True:  # SIGHUP is heard between two turns of its loop
                        try:
                            with RawClient(port, version=5, username="desk", password=PASSWORD) as desk:
                                assert desk.publish("becomingone/home/node/desk/state", b"ready") != 0x87
                                break
                        except RefusedError:
                            await asyncio.sleep(0.01)
                assert hub.publish(hub_state, b"ready") != 0x87
                assert kitchen.publish(state, b"ready") != 0x87
                without = after.model_copy(
                    update={"identities": after.identities.model_copy(update={"nodes": ("desk",)})}
                )
                assert await made.reload(without) is False
                async with asyncio.timeout(10):
                    while kitchen.publish(state, b"ready") != 0x87:  # it is nobody any more
                        await asyncio.sleep(0.01)
                hub.ping()
            assert made.starts == 1

    asyncio.run(run())


@pytest.mark.parametrize("mosquitto", installed())
def test_a_renewed_certificate_is_shown_to_who_comes_next(mosquitto: Path | None, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    server, member = authority.server(), authority.client("hub")
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(member.certificate, member.key)
    tls = {"certificate": server.certificate, "key": server.key, "ca": authority.ca}
    wanted = config(tmp_path, listeners=[{"port": 0, "tls": True}], tls=tls)

    def shown(port: int) -> object:
        with RawClient(port, tls=context) as client:
            assert isinstance(client._socket, ssl.SSLSocket)
            return (client._socket.getpeercert() or {})["serialNumber"]

    async def run() -> None:
        async with broker(wanted, mosquitto, []) as made:
            port = made.listeners[0].port
            before = shown(port)
            authority.server()  # in the place of the old one
            assert shown(port) == before
            assert await made.reload(wanted) is False
            await until(lambda: shown(port) != before)
            assert made.starts == 1

    asyncio.run(run())


@pytest.mark.parametrize("mosquitto", installed())
def test_what_is_read_only_at_the_start_takes_a_restart(mosquitto: Path | None, tmp_path: Path) -> None:
    async def run() -> None:
        before = config(tmp_path)
        async with broker(before, mosquitto, events) as made:
            first, extra = made.listeners[0].port, free()
            with anybody(made) as client:
                after = before.model_validate({**before.model_dump(), "listeners": [{"port": 0}, {"port": extra}]})
                assert await made.reload(after) is True
                with pytest.raises(GoneError):
                    client.ping()
            assert made.listeners[0].port == first
            for port in (first, extra):
                RawClient(port).drop()
            assert made.starts == 2

    events: list[str] = []
    asyncio.run(run())
    assert events == []  # asked for, not suffered


@pytest.mark.parametrize("mosquitto", installed())
def test_a_change_that_cannot_be_leaves_everything_as_it_was(mosquitto: Path | None, tmp_path: Path) -> None:
    async def run() -> None:
        before = config(tmp_path)
        async with broker(before, mosquitto, []) as made:
            tls = {"certificate": tmp_path / "nothing", "key": tmp_path / "nothing"}
            with pytest.raises(ConfigError, match=r"tls.certificate: .*nothing cannot be read: No such file"):
                await made.reload(before.model_validate({**before.model_dump(), "tls": tls}))
            with pytest.raises(ConfigError, match="state_dir, cell"):
                await made.reload(before.model_copy(update={"cell": "elsewhere"}))
            with anybody(made) as client:
                client.ping()
            assert made.starts == 1

    asyncio.run(run())


@pytest.mark.mosquitto
def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        made = ManagedMosquitto(
            config(tmp_path, listeners=[{"port": port}]), program(None), clock=SystemClock(), rng=random.Random(1)
        )
        with pytest.raises(LinkError, match=rf"^port {port} on 127.0.0.1 is in use: stop what listens there"):
            asyncio.run(made.start())


@pytest.mark.parametrize("mosquitto", installed())
def test_a_refused_configuration_is_said_in_one_line(mosquitto: Path | None, tmp_path: Path) -> None:
    """One that our own checks let pass: 2.1 tests it before, 2.0 says so when it is started."""

    async def run() -> None:
        made = ManagedMosquitto(
            config(tmp_path, passwords={"hub": PASSWORD}), program(mosquitto), clock=SystemClock(), rng=random.Random(1)
        )
        made._files.passwords.mkdir(parents=True)  # a folder where a file ought to be
        await made.start()

    with pytest.raises((ConfigError, LinkError)) as refused:
        asyncio.run(run())
    assert "\n" not in str(refused.value)


def scripted(folder: Path, text: str) -> list[str]:
    """A program that is no Mosquitto."""
    path = folder / "program.py"
    path.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{text}")
    path.chmod(0o700)
    return [str(path)]


def made_child(command: list[str], events: list[str], *, base_s: float = 0.01) -> MosquittoChild:
    clock = SystemClock()
    backoff = Backoff(random.Random(1), base_s=base_s, cap_s=base_s)
    return MosquittoChild(command, log=BrokerLog(clock), clock=clock, backoff=backoff, on_death=events.append)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("print('Error: Unknown configuration variable.\\nError found at x.conf:3.'); sys.exit(3)", "Unknown config"),
        ("print('1700000000: Error: Address already in use', file=sys.stderr); sys.exit(1)", "Address already in use"),
        ("sys.exit(0)", "it said nothing"),
        ("print('last words')", "last words"),
        ("print('x' * 200_000); sys.exit(1)", "could not start"),
    ],
)
def test_why_it_did_not_start_is_said_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(LinkError) as refused:
        asyncio.run(made_child(scripted(tmp_path, text), []).start())
    assert str(refused.value).startswith("Mosquitto could not start: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="cannot be started: No such file"):
        asyncio.run(made_child([str(tmp_path / "nothing")], []).start())


def test_one_that_never_listens_is_ended(tmp_path: Path, mocker) -> None:
    mocker.patch.object(child_module, "START_S", 0.3)
    child = made_child(scripted(tmp_path, "print(os.getpid(), flush=True); time.sleep(60)"), [])
    with pytest.raises(LinkError, match=r"did not listen within 0.3 s: (\d+)") as refused:
        asyncio.run(child.start())
    assert not lives(int(str(refused.value).rpartition(" ")[2]))
    assert child.pid is None


RUNNING = "print('mosquitto version 9 running', flush=True)\n"


def test_one_that_dies_again_and_again_is_started_at_a_pace(tmp_path: Path) -> None:
    async def run() -> None:
        child = made_child(scripted(tmp_path, RUNNING + "print('Error: the disk is full'); sys.exit(1)"), events)
        await child.start()
        await until(lambda: child.starts >= 4)
        await child.stop()
        assert child.pid is None
        after = child.starts
        await asyncio.sleep(0.1)  # longer than any back-off here
        assert child.starts == after

    events: list[str] = []
    asyncio.run(run())
    assert events[0] == "Mosquitto ended (the disk is full); it is started again"


def test_one_that_cannot_be_started_again_is_tried_on(tmp_path: Path) -> None:
    mark = tmp_path / "second"
    text = f"""
if os.path.exists({str(mark)!r}) and os.path.getsize({str(mark)!r}) < 3:
    open({str(mark)!r}, 'a').write('x'); print('Error: no'); sys.exit(1)
open({str(mark)!r}, 'a').close()
{RUNNING}
time.sleep(60)
"""

    async def run() -> None:
        child = made_child(scripted(tmp_path, text), events)
        await child.start()
        os.kill(child.pid or 0, signal.SIGKILL)
        await until(lambda: child.starts == 5 and child.pid is not None)
        await child.stop()

    events: list[str] = []
    asyncio.run(run())
    assert (
        events
        == ["Mosquitto was killed by SIGKILL; it is started again"]
        + ["Mosquitto could not start: no; trying again"] * 3
    )


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 10, 20, 50])
def test_it_can_be_told_to_stop_at_any_moment_of_a_restart(tmp_path: Path, turns: int) -> None:
    async def run() -> None:
        child = made_child(scripted(tmp_path, RUNNING + "time.sleep(60)"), [], base_s=1e-6)
        await child.start()
        os.kill(child.pid or 0, signal.SIGKILL)
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await child.stop(5.0)
        assert child.pid is None

    asyncio.run(run())


def test_one_that_will_not_end_is_made_to(tmp_path: Path) -> None:
    text = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + RUNNING + "time.sleep(60)"

    async def run() -> int:
        child = made_child(scripted(tmp_path, text), [])
        await child.start()
        pid = child.pid
        assert pid is not None
        async with asyncio.timeout(20):
            await child.stop(0.3)
        return pid

    assert not lives(asyncio.run(run()))


def test_a_signal_that_was_missed_is_sent_again(tmp_path: Path) -> None:
    """As Mosquitto misses one between its last start-up line and its main loop."""
    text = f"""
missed = []
signal.signal(signal.SIGTERM, lambda *_: missed.append(1) if not missed else sys.exit(0))
{RUNNING}
while True: time.sleep(0.01)
"""

    async def run() -> float:
        child = made_child(scripted(tmp_path, text), [])
        await child.start()
        began = asyncio.get_running_loop().time()
        await child.stop(10.0)
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(run()) < 8.0
