"""A node's outputs over reloads, failures and the end: one owner of a pin at a time, and nothing moves after a rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from becomingone.config.loader import digest
from becomingone.node.config_file import Loaded
from becomingone.runner import InlineRunner, Outcome
from becomingone.sim.bench import Bench
from becomingone.wire.command import OutputCommand, encode_command

from .fakes import FakeOutput, HeldRunner
from .test_agent import BASE, config_of, retained, states, stranger
from .test_outputs import BLUE, RED, Rig

MOTOR = {"name": "wheels", "kind": "motor", "options": {"left": {"forward": 17, "backward": 18}, "armed": True}}
FORWARD = {"velocity": 1.0, "rotation": 0.0}

STUBBORN = '''\
"""A motor on a pin that cannot be put to rest before `rests_s`."""

from gpiozero import DigitalOutputDevice
from pydantic import BaseModel


class Options(BaseModel, frozen=True, extra="forbid"):
    rests_s: float = 2.0


class Device:
    role = "motor"

    def __init__(self, options, ports):
        self._options, self._clock = options, ports.clock
        self._pin = DigitalOutputDevice(17, pin_factory=ports.pins)

    def apply(self, values):
        self._pin.on()

    def rest(self):
        if self._clock.monotonic_ns() < self._options.rests_s * 1e9:
            raise OSError("the bridge does not answer")
        self._pin.off()

    def close(self):
        self._pin.close()
'''


def reload(bench: Bench, **fields: Any) -> None:
    config = config_of(**fields)
    bench.nodes["n"].apply(Loaded(config, digest(config)))


def device(bench: Bench, name: str = "wheels") -> dict[str, Any]:
    return next(device for device in retained(bench, "about")["devices"] if device["name"] == name)


class Threads:
    """Runners that the test moves on, in the order in which they were made."""

    def __init__(self, bench: Bench) -> None:
        self.made: list[HeldRunner] = []
        self._bench = bench

    def __call__(self, _name: str) -> HeldRunner:
        self.made.append(HeldRunner(self._bench.scheduler))
        return self.made[-1]


# The end


def test_a_command_that_comes_while_an_output_is_let_go_moves_nothing() -> None:
    rig = Rig(FakeOutput("motor"), held=True)
    rig.command(0, FORWARD)
    rig.held.answer()
    rig.runner.close("the node stops")
    rig.command(1, FORWARD)
    while rig.held.held:
        rig.held.answer()
    rig.run(5.0)
    assert rig.held.held == []
    assert rig.device.calls == ["rest", FORWARD, "rest"]
    assert rig.runner.refused == {"unavailable": 1}


def test_nothing_is_shown_by_an_output_that_is_let_go() -> None:
    rig = Rig(held=True)
    rig.command(0, RED)
    rig.held.answer()
    rig.runner.close("the node stops")
    assert not rig.runner.show(BLUE, "identify", 1.0)
    while rig.held.held:
        rig.held.answer()
    rig.run(5.0)
    assert rig.device.calls == ["rest", RED, "rest"]


def test_a_reload_while_the_node_stops_opens_nothing_and_holds_up_nothing() -> None:
    bench = Bench(1)
    threads = Threads(bench)
    node = bench.add_node(config_of(outputs=[MOTOR]), make_runner=threads)
    bench.run_for(0.1)
    threads.made[0].answer()
    done: list[bool] = []
    node.stop(lambda: done.append(True))
    reload(bench, outputs=[{**MOTOR, "stale_s": 1.0}])
    threads.made[0].answer()
    bench.run_for(0.1)
    assert done == [True]
    assert len(threads.made) == 1


# A clock that is behind


@pytest.mark.parametrize(("role", "values"), [("motor", FORWARD), ("display", RED)])
def test_a_motor_whose_node_s_clock_is_behind_follows_no_command_for_it_cannot_tell_how_old_it_is(
    role: str, values: dict[str, float]
) -> None:
    rig = Rig(FakeOutput(role))
    rig.command(0, values, valid_s=3600.15)  # made now by a clock that is right, or an hour ago and delayed since
    if role == "motor":
        assert rig.device.calls == ["rest"]
        assert rig.runner.refused == {"future": 1}
    else:
        assert rig.device.calls == ["rest", values]


# Reloads


def test_outputs_rest_before_anything_else_is_done_about_a_reload() -> None:
    bench = Bench(1)
    order: list[str] = []

    class Told(InlineRunner):
        def __init__(self, name: str) -> None:
            super().__init__(bench.scheduler)
            self._name = name

        def submit(self, work: Callable[[], object], outcome: Outcome) -> None:
            order.append(self._name)
            super().submit(work, outcome)

    tone = {"name": "a", "kind": "host"}
    bench.add_node(config_of(inputs=[tone], outputs=[MOTOR]), make_runner=Told)
    bench.run_for(0.1)
    order.clear()
    reload(bench, inputs=[{**tone, "latency_s": 0.1}], outputs=[{**MOTOR, "stale_s": 1.0}])
    assert order[0] == "wheels"


def test_a_motor_that_is_replaced_has_let_go_of_its_pins_before_the_next_takes_them() -> None:
    bench = Bench(1)
    bench.add_node(config_of(outputs=[MOTOR]))
    bench.run_for(0.1)
    reload(bench, outputs=[{**MOTOR, "stale_s": 1.0}])
    bench.run_for(0.05)
    assert device(bench) == {"name": "wheels", "kind": "motor", "available": True, "reason": ""}
    assert retained(bench, "output/wheels/state")["doing"] == "rest"


def test_the_next_is_opened_once_the_call_that_is_under_way_has_returned_and_the_last_is_closed() -> None:
    bench = Bench(1)
    threads = Threads(bench)
    bench.add_node(config_of(outputs=[MOTOR]), make_runner=threads)
    bench.run_for(0.1)
    old = threads.made[0]
    old.answer()
    reload(bench, outputs=[{**MOTOR, "name": "legs"}])  # another name, the same pins
    new = threads.made[1]
    old.answer()  # its rest
    assert new.held == []
    old.answer()  # its end
    assert len(new.held) == 1
    new.answer()
    bench.run_for(0.05)
    assert device(bench, "legs")["available"]


def test_an_opening_that_is_under_way_has_ended_before_the_next_begins() -> None:
    bench = Bench(1)
    threads = Threads(bench)
    bench.add_node(config_of(outputs=[MOTOR]), make_runner=threads)
    bench.run_for(0.1)
    reload(bench, outputs=[{**MOTOR, "stale_s": 1.0}])
    assert threads.made[1].held == []
    threads.made[0].answer()  # opened at last, and at once of no use
    threads.made[0].answer()
    threads.made[1].answer()
    bench.run_for(0.05)
    assert device(bench)["available"]


def test_one_that_never_lets_go_keeps_the_next_waiting_for_a_while_only() -> None:
    bench = Bench(1)
    threads = Threads(bench)
    bench.add_node(config_of(outputs=[MOTOR]), make_runner=threads)
    bench.run_for(0.1)
    threads.made[0].answer()
    reload(bench, outputs=[{"name": "light", "kind": "terminal"}])
    bench.run_for(1.9)
    assert threads.made[1].held == []
    bench.run_for(0.2)
    assert len(threads.made[1].held) == 1


def test_one_that_waits_and_is_taken_away_again_is_never_opened() -> None:
    bench = Bench(1)
    threads = Threads(bench)
    bench.add_node(config_of(outputs=[MOTOR]), make_runner=threads)
    bench.run_for(0.1)
    threads.made[0].answer()
    reload(bench, outputs=[{**MOTOR, "stale_s": 1.0}])
    reload(bench)
    bench.run_for(5.0)
    assert threads.made[1].held == [None]
    assert f"{BASE}/output/wheels/state" not in bench.broker.retained


def test_the_state_of_one_that_comes_back_is_not_taken_back_with_that_of_the_last() -> None:
    bench = Bench(1)
    threads = Threads(bench)
    bench.add_node(config_of(outputs=[MOTOR]), make_runner=threads)
    bench.run_for(0.1)
    threads.made[0].answer()
    reload(bench)
    reload(bench, outputs=[MOTOR])
    for runner in (threads.made[0], threads.made[0], threads.made[1]):
        runner.answer()
    bench.run_for(5.0)
    assert retained(bench, "output/wheels/state")["doing"] == "rest"


# What cannot be opened


def test_one_that_cannot_be_put_to_rest_lets_go_and_is_opened_again(tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    bench = Bench(1)
    bench.add_node(config_of(drop_in=tmp_path, outputs=[{"name": "wheels", "kind": "stubborn"}]))
    bench.run_for(1.0)
    assert device(bench)["reason"] == "wheels cannot be put to rest: the bridge does not answer"
    bench.run_for(10.0)
    assert device(bench)["available"]


def said(bench: Bench) -> dict[str, Any] | None:
    payload = bench.broker.retained.get(f"{BASE}/output/wheels/state")
    return None if payload is None else json.loads(payload)


def test_nobody_speaks_for_an_output_that_an_earlier_life_had_and_this_one_has_not(tmp_path: Path) -> None:
    bench = Bench(1)
    bench.add_node(config_of(outputs=[MOTOR]))
    bench.run_for(0.1)
    expires_us = bench.scheduler.time_us() + 100_000
    command = encode_command(OutputCommand(boot=1, id=0, expires_us=expires_us, values=FORWARD))
    stranger(bench).publish(f"{BASE}/output/wheels/set", command, qos=1)
    bench.run_for(0.05)
    bench.kill("n")
    bench.run_for(1.0)
    assert (said(bench) or {})["doing"] == "command"  # its node is lost, and says nothing any more
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    stubborn = {"name": "wheels", "kind": "stubborn", "options": {"rests_s": 1e9}}
    bench.add_node(config_of(drop_in=tmp_path, outputs=[stubborn]))
    bench.run_for(60.0)
    assert states(bench)[-1] == "ready"
    assert said(bench) is None


def test_what_is_taken_away_while_the_broker_is_gone_is_taken_back_when_it_is_there_again() -> None:
    bench = Bench(1)
    bench.add_node(config_of(outputs=[MOTOR]))
    bench.run_for(0.1)
    bench.broker.crash(persistent=True)
    bench.run_for(1.0)
    reload(bench)
    bench.run_for(1.0)
    bench.broker.restart()
    assert said(bench) is not None
    bench.run_for(120.0)
    assert states(bench)[-1] == "ready"
    assert said(bench) is None
