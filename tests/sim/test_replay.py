"""The same seed and faults, the same bytes: in one process, in another, in another Python, after more nodes."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from becomingone.broker.link import Will
from becomingone.errors import ConfigError
from becomingone.hub.config import HubConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import walkers
from becomingone.sim.chaos import Chaos
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.events import EventLog
from becomingone.sim.packets import Publish
from becomingone.sim.plan import load_plan
from becomingone.sim.replay import Comparison
from becomingone.sim.run import Setting, simulate
from becomingone.sim.world import World

from .rig import Rig

ROOT = Path(__file__).parents[2]


class Text(list[str]):
    def write(self, line: str, /) -> None:
        self.append(line)


def setting(seed=3, *, nodes=3, duration_s=6.0, faults="storm", sealed=True):
    cell = HubConfig.model_validate({}), walkers(nodes, seed=seed)
    return Setting(seed, duration_s, *cell, load_plan(faults, environ={}), sealed=sealed)


def traced(asked, **options):
    text = Text()
    return simulate(asked, trace=text, **options), text


def test_twice_the_same_bytes_and_another_seed_others():
    first, again = traced(setting()), traced(setting())
    assert first == again
    assert len(first[1]) > 200
    assert traced(setting(4))[0]["digest"] != first[0]["digest"]
    assert traced(setting(sealed=False))[0]["digest"] != first[0]["digest"]


def test_the_digest_is_that_of_the_trace_and_the_lines_say_everything():
    came, text = traced(setting(duration_s=6.0), payloads=True)
    assert hashlib.blake2b("".join(text).encode(), digest_size=16).hexdigest() == came["digest"]
    lines = [json.loads(line) for line in text]
    assert lines[0]["seed"] == 3
    times = [line["t"] for line in lines[1:]]
    assert times == sorted(times)
    kinds = {line["kind"] for line in lines[1:]}
    assert kinds >= {"connect", "up", "send", "publish", "deliver", "fault"}
    assert all(line["why"] for line in lines[1:] if line["kind"] in ("fault", "down", "gone", "refuse"))
    sends = [line for line in lines[1:] if line["kind"] == "send"]
    assert all(set(line) >= {"t", "client", "topic", "payload"} for line in sends)
    hashed = [json.loads(line) for line in traced(setting(duration_s=6.0))[1][1:]]
    for whole, short in zip(lines[1:], hashed, strict=True):
        payload = whole.pop("payload", None)
        if payload is not None:
            data = bytes.fromhex(payload)
            whole |= {"bytes": len(data), "hash": hashlib.blake2b(data, digest_size=8).hexdigest()}
        assert whole == short


def test_a_trace_holds_all_that_its_run_depends_on():
    asked = setting(duration_s=5.0)
    _, text = traced(asked)
    comparison = Comparison(text[0], iter(text[1:]))
    assert not comparison.payloads
    simulate(Setting.of(text[0]), trace=comparison)
    comparison.finish()
    assert comparison.difference is None
    assert comparison.lines == len(text)


@pytest.mark.parametrize("payloads", [False, True])
def test_a_comparison_sees_how_the_trace_was_written(payloads):
    _, text = traced(setting(duration_s=1.0), payloads=payloads)
    assert Comparison(text[0], iter(text[1:])).payloads == payloads


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("abc", "abc", None),
        ("abc", "abX", "line 3 differs: it was c, it is X"),
        ("abc", "ab", "line 3 differs: it was c, it is the end"),
        ("ab", "abc", "line 3 differs: it was the end, it is c"),
        ("abcd", "aXcd", "line 2 differs: it was b, it is X"),
        ("a", "a", None),
    ],
)
def test_the_first_difference_is_named(was, now, says):
    head, *rest = [f"{letter}\n" for letter in was]
    comparison = Comparison(head, iter(rest))
    for letter in now:
        comparison.write(f"{letter}\n")
    comparison.finish()
    assert comparison.difference == says


@pytest.mark.parametrize(
    "line",
    ["", "[]\n", "{}\n", "null\n", '{"trace": 1}\n', "\x00", '{"trace": "becomingone simulation", "version": "0"}'],
)
def test_what_is_no_trace_is_refused(line):
    with pytest.raises(ConfigError, match=r"trace|version"):
        Setting.of(line)


def test_one_more_node_changes_nothing_for_the_others():
    """Nor do the others' frames reach the broker at other times: every client draws from streams of its own."""

    def frames(nodes):
        bench = Bench(5, faults=load_plan("wifi", environ={}))
        for node in nodes:  # without a hub, which tells of the whole cell: what a node hears takes draws of its own
            bench.add_node(node)
        bench.run_for(10.0)
        return [
            (entry.time_us, entry.topic, entry.payload)
            for entry in bench.broker.trace
            if entry.client_id.endswith(("n002", "n003")) and "/phase/" in entry.topic
        ]

    few, many = walkers(3, seed=5)[1:], walkers(5, seed=5)[1:]
    assert few == many[:2]
    assert len({node.inputs[0].options["phase_rad"] for node in many}) == 4
    assert frames(few) == frames(many) == frames([many[3], *few, many[2]])
    assert len(frames(few)) > 150


# Other processes, other Pythons


def pythons():
    """This one, and another version that has what we need, where there is one (name its folder to be sure of it)."""
    wanted = "3.13" if sys.version_info < (3, 13) else "3.11"
    folders = [folder for folder in os.environ.get("BECOMINGONE_PYTHONS", "").split(os.pathsep) if folder]
    other = next(
        iter(filter(None, (shutil.which(f"python{wanted}", path=folder) for folder in [*folders, None]))), None
    )
    found = [pytest.param(sys.executable, id="this")]
    return [*found, pytest.param(other, id=wanted)] if other else found


def elsewhere(python, seed_of_hashes, *words):
    environ = {**os.environ, "PYTHONHASHSEED": seed_of_hashes, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run([python, *words], env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("python", pythons())
def test_other_processes_give_the_same_digest(python):
    if python != sys.executable and elsewhere(python, "0", "-c", "import becomingone.sim.run").returncode:
        pytest.skip(f"{python} cannot run the simulation")
    here = simulate(setting(nodes=2, duration_s=5.0))
    words = ("-m", "becomingone", "sim", "run", "--json", "--nodes", "2", "--duration", "5", "--seed", "3")
    for seed_of_hashes in ("0", "4242") if python == sys.executable else ("1",):
        done = elsewhere(python, seed_of_hashes, *words, "--faults", "storm")
        assert done.returncode == 0, done.stderr
        there = json.loads(done.stdout)
        assert {name: there[name] for name in here} == here


def test_the_network_and_the_broker_do_the_same_in_every_python():
    """A digest that was written down: it changes when the simulation is changed, and for no other reason."""
    scheduler = VirtualScheduler()
    log = EventLog(scheduler.monotonic_ns)
    storm = load_plan("storm", environ={})
    rig = Rig(paths=[path.model_dump() for path in storm.network.paths], scheduler=scheduler, note=log.note)
    world = World(rig.broker, storm, 1, scheduler=scheduler, note=log.note)
    chaos = Chaos(storm, 1, scheduler=scheduler, world=world)
    for second in range(240):
        for name in ("a", "b", "c"):
            chaos.adopt(name)
            if rig.broker.up and not rig.broker.connected(name):
                client = rig.raw(name, session_s=30, keepalive_s=5, will=Will(f"will/{name}", b"lost"))
                if client.broke:
                    continue
                client.subscribe("t/#")
                rig.clients[name] = client
            for packet in rig.clients[name].publications[-2:]:
                rig.clients[name].acknowledge(packet)
            rig.clients[name].send(Publish(f"t/{name}", b"%d" % second, second % 2, second % 5 == 0, number=second + 1))
        rig.run(1.0)
    assert log.counts >= Counter(fault=50, crash=1, connect=20, will=15, drop=10, publish=600)
    assert log.digest == "8594062e32fe52b0f3c827ad37e26c58"
