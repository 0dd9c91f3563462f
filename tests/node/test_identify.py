"""A node shows which device it is: what can, blinks and beeps; what moves, stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from becomingone.node.board_led import BoardLed
from becomingone.node.identify import SIGNS, Identify
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.command import RANGES, read_values


class Screen:
    """Records what it is shown, and when."""

    def __init__(self, role: str, scheduler: VirtualScheduler) -> None:
        self.role = role
        self.shown: list[tuple[float, Mapping[str, float], float]] = []
        self._scheduler = scheduler

    def show(self, values: Mapping[str, float], why: str, seconds: float) -> bool:
        assert why == "identify"
        if self.role == "motor":
            return False
        self.shown.append((self._scheduler.monotonic_ns() / 1e9, values, seconds))
        return True

    @property
    def ends_s(self) -> float:
        """When the last of it goes by itself."""
        at, _, seconds = self.shown[-1]
        return at + seconds


def made(*roles: str) -> tuple[VirtualScheduler, dict[str, Screen], Identify]:
    scheduler = VirtualScheduler()
    screens = {role: Screen(role, scheduler) for role in roles}
    return scheduler, screens, Identify(lambda: screens, scheduler=scheduler)


def test_the_signs_are_of_their_roles_and_motors_have_none() -> None:
    for role, signs in SIGNS.items():
        for values in signs:
            assert read_values(dict(values), role) == values
            assert set(values) == set(RANGES[role])
    assert "motor" not in SIGNS


def test_a_display_blinks_and_a_speaker_beeps_once_a_second_and_a_motor_does_nothing() -> None:
    scheduler, screens, identify = made("display", "speaker", "motor")
    assert identify.begin(3.0) == ["display", "speaker"]
    scheduler.run_for(10.0)
    on, off = SIGNS["display"]
    assert [(at, values) for at, values, _ in screens["display"].shown] == [
        (step / 2, off if step % 2 else on) for step in range(6)
    ]
    assert [values["volume"] for _, values, _ in screens["speaker"].shown] == [0.5, 0.0] * 3
    assert screens["motor"].shown == []


@pytest.mark.parametrize("seconds", [1.0, 1.3, 2.5, 60.0])
def test_it_ends_on_time_by_itself(seconds: float) -> None:
    scheduler, screens, identify = made("display")
    identify.begin(seconds)
    scheduler.run_for(100.0)
    shown = screens["display"].shown
    assert all(at < seconds for at, _, _ in shown)
    assert screens["display"].ends_s == pytest.approx(seconds, abs=1e-6)
    for (_, _, held), (later, _, _), (at, _, _) in zip(shown, shown[1:], shown, strict=False):
        assert at + held >= later  # no hole between two


def test_it_may_be_begun_anew_and_ended() -> None:
    scheduler, screens, identify = made("display")
    identify.begin(60.0)
    scheduler.run_for(0.7)
    identify.begin(2.0)
    scheduler.run_for(0.6)
    identify.end()
    identify.end()
    count = len(screens["display"].shown)
    scheduler.run_for(100.0)
    assert len(screens["display"].shown) == count == 4
    assert screens["display"].ends_s < 2.5  # the last sign goes by itself


def test_outputs_that_come_and_go_meanwhile_do_no_harm() -> None:
    scheduler, screens, identify = made("display")
    identify.begin(3.0)
    scheduler.run_for(0.7)
    gone = screens.pop("display")
    scheduler.run_for(0.5)
    screens["speaker"] = Screen("speaker", scheduler)
    scheduler.run_for(10.0)
    assert len(gone.shown) == 2
    assert len(screens["speaker"].shown) == 3


def test_a_node_with_motors_alone_cannot_show_itself() -> None:
    scheduler, _, identify = made("motor")
    assert identify.begin(5.0) == []
    assert scheduler._calls == []


# The board's light


@pytest.fixture
def leds(tmp_path: Path) -> Path:
    (tmp_path / "ACT").mkdir()
    (tmp_path / "ACT" / "trigger").write_text("none kbd-scrolllock timer oneshot [mmc0] default-on\n")
    return tmp_path


def light(leds: Path, name: str = "trigger") -> str:
    return (leds / "ACT" / name).read_text()


def test_the_light_blinks_by_the_kernel_and_is_given_back(leds: Path) -> None:
    scheduler = VirtualScheduler()
    identify = Identify(dict, scheduler=scheduler, led=BoardLed(leds))
    assert identify.begin(2.0) == ["the light on its board"]
    assert (light(leds), light(leds, "delay_on"), light(leds, "delay_off")) == ("timer", "500", "500")
    scheduler.run_for(1.9)
    assert light(leds) == "timer"
    scheduler.run_for(0.2)
    assert light(leds) == "mmc0"


def test_the_light_is_given_back_when_the_node_stops(leds: Path) -> None:
    identify = Identify(dict, scheduler=VirtualScheduler(), led=BoardLed(leds))
    identify.begin(60.0)
    identify.end()
    assert light(leds) == "mmc0"


def test_the_older_name_of_the_light(tmp_path: Path) -> None:
    (tmp_path / "led0").mkdir()
    (tmp_path / "led0" / "trigger").write_text("[none] timer")
    led = BoardLed(tmp_path)
    assert led.blink(0.5)
    led.restore()
    assert (tmp_path / "led0" / "trigger").read_text() == "none"


def test_a_machine_without_such_a_light(tmp_path: Path) -> None:
    assert not BoardLed(tmp_path).blink(0.5)
    BoardLed(tmp_path).restore()


def test_a_light_that_tells_nothing_of_itself_is_left_alone(leds: Path) -> None:
    (leds / "ACT" / "trigger").write_text("what?")
    assert not BoardLed(leds).blink(0.5)
    assert light(leds) == "what?"


def test_a_light_that_cannot_be_written_takes_no_part(leds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a sandbox where /sys is read-only; root, who may run this test, is not kept out by modes."""

    def refuse(self: Path, text: str, encoding: str | None = None) -> int:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "write_text", refuse)
    identify = Identify(dict, scheduler=VirtualScheduler(), led=BoardLed(leds))
    assert identify.begin(2.0) == []


def test_a_light_that_cannot_be_made_to_blink_evenly_is_given_back(leds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def partly(self: Path, text: str, encoding: str | None = None) -> int:
        if self.name.startswith("delay"):
            raise OSError(2, "No such file or directory", str(self))
        return write(self, text, encoding)

    monkeypatch.setattr(Path, "write_text", partly)
    assert not BoardLed(leds).blink(0.5)
    assert light(leds) == "mmc0"
