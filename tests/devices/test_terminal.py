"""A stripe where there are colours, a line where there are none, and nothing that is out of range."""

import pytest

from becomingone.devices.contract import Output
from becomingone.devices.terminal import Device, Options
from becomingone.errors import DeviceUnavailableError

from .fakes import FakePorts, FakeTerminal


def made(*, tty: bool) -> tuple[Device, FakeTerminal]:
    terminal = FakeTerminal(tty=tty)
    return Device(Options(width=4), FakePorts(terminal=terminal)), terminal


def test_it_is_a_display() -> None:
    device, _ = made(tty=False)
    assert isinstance(device, Output)
    assert device.role == "display"


def test_plain_lines_only_for_noticeable_changes() -> None:
    device, terminal = made(tty=False)
    for hue, brightness in ((213, 0.87), (216, 0.86), (218, 0.87), (218, 0.855), (218, 0.85), (358, 1), (2, 1)):
        device.apply({"hue": hue, "brightness": brightness})
    assert terminal.getvalue().splitlines() == [
        "display hue 213 brightness 0.87",
        "display hue 218 brightness 0.87",
        "display hue 218 brightness 0.85",
        "display hue 358 brightness 1.00",
    ]
    device.apply({"hue": 3.1, "brightness": 1.0})
    assert terminal.getvalue().endswith("display hue 3 brightness 1.00\n")


def test_a_stripe_on_a_terminal() -> None:
    device, terminal = made(tty=True)
    device.apply({"hue": 120, "brightness": 1.0})
    assert terminal.getvalue() == "\r\x1b[48;2;0;255;0m    \x1b[0m hue 120 brightness 1.00\x1b[K"
    device.apply({"hue": 360, "brightness": 0.5})
    assert "\x1b[48;2;128;0;0m" in terminal.getvalue()
    assert "\n" not in terminal.getvalue()
    device.rest()
    assert terminal.getvalue().endswith("\r\x1b[48;2;0;0;0m    \x1b[0m display rests\x1b[K\n")


def test_rest_is_said_once_and_shown_anew_afterwards() -> None:
    device, terminal = made(tty=False)
    device.rest()
    device.rest()
    device.apply({"hue": 10, "brightness": 0.5})
    device.rest()
    device.apply({"hue": 10, "brightness": 0.5})
    assert terminal.getvalue().split("\n") == [
        "display rests",
        "display hue 10 brightness 0.50",
        "display rests",
        "display hue 10 brightness 0.50",
        "",
    ]


@pytest.mark.parametrize("tty", [True, False])
@pytest.mark.parametrize(
    "values",
    [
        {"hue": 361, "brightness": 0.5},
        {"hue": -1, "brightness": 0.5},
        {"hue": 1, "brightness": 1.01},
        {"hue": float("nan"), "brightness": 0.5},
        {"hue": 1, "brightness": float("inf")},
        {"hue": 1},
        {},
        {"hue": 1, "brightness": 0.5, "volume": 1},
    ],
)
def test_what_is_no_colour_is_refused(values: dict[str, float], tty: bool) -> None:
    device, terminal = made(tty=tty)
    with pytest.raises(ValueError, match=r"a display takes hue and brightness|must be 0\.\."):
        device.apply(values)
    assert terminal.getvalue() == ""


def test_a_closed_terminal_is_unavailable() -> None:
    device, terminal = made(tty=False)
    terminal.close()
    with pytest.raises(DeviceUnavailableError, match="cannot be written to"):
        device.rest()
