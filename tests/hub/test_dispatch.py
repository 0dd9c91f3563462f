"""From the mesh's state to commands: who gets one, and what it says."""

from __future__ import annotations

from typing import Any

import pytest

from becomingone.hub.dispatch import MAX_OUTPUTS, MOTOR_EXPIRY_US, Dispatch
from becomingone.hub.roster import Member, Roster
from becomingone.hub.state import BandState, MeshState
from becomingone.wire.announce import State
from becomingone.wire.command import OutputCommand, decode_command

from .parts import NOW_US, TOPICS, about


def output(name: str = "light", role: str = "display") -> dict[str, str]:
    return {"name": name, "kind": "terminal", "role": role}


def member(node: str = "n", *outputs: dict[str, str], state: State | None = State.READY) -> Member:
    made = Roster().enrol(node, 0)
    made.state, made.about = state, about(node, outputs=outputs or (output(),))
    return made


def band(mean_field: complex = 0.5 + 0j, coherence: float = 0.5, **fields: Any) -> BandState:
    given: dict[str, Any] = {"name": "stride", "valid": True, "weight": 1.0, **fields}
    return BandState(coherence=coherence, mean_field=mean_field, **given)


def significant(mean_field: complex = 0.6 - 0.5j, **fields: Any) -> BandState:
    return band(mean_field, 0.8, **{"collapsed": True, "decidable": True, **fields})


def send(
    dispatch: Dispatch, state: BandState, *members: Member, role: str = "display"
) -> list[tuple[str, OutputCommand]]:
    sent = list(dispatch.commands(state, list(members), NOW_US))
    return [(topic.removeprefix(f"{TOPICS.base}/node/"), decode_command(payload, role)) for topic, payload in sent]


def dispatch() -> Dispatch:
    return Dispatch(TOPICS, boot=3, expiry_us=1_000_000)


@pytest.mark.parametrize(
    ("mean_field", "hue"),
    [(1 + 0j, 360.0), (-1 + 0j, 0.0), (0j, 180.0), (1j, 180.0), (0.5 + 0j, 270.0), (0.6 - 0.8j, 288.0)],
)
def test_hue_is_the_phase_and_brightness_the_coherence(mean_field: complex, hue: float) -> None:
    ((topic, command),) = send(dispatch(), band(mean_field, 0.75), member())
    assert topic == "n/output/light/set"
    assert command.values == {"hue": pytest.approx(hue, rel=1e-6), "brightness": 0.75}
    assert (command.boot, command.expires_us) == (3, NOW_US + 1_000_000)


@pytest.mark.parametrize("mean_field", [1.0000000000000002 + 0j, -1.0000000000000002 + 0j])
def test_rounding_at_the_ends_leaves_no_range(mean_field: complex) -> None:
    send(dispatch(), band(mean_field, 1.0), member())  # the node's own decoder has taken it


@pytest.mark.parametrize("state", [None, State.INIT, State.SLEEPING, State.DISCONNECTED, State.LOST])
def test_only_nodes_that_are_ready_are_driven(state: State | None) -> None:
    assert send(dispatch(), band(), member(state=state)) == []


def test_a_node_that_has_not_described_itself_is_not_driven() -> None:
    unknown = member()
    unknown.about = None
    assert send(dispatch(), band(), unknown) == []


def test_an_undefined_phase_moves_nothing() -> None:
    given = dispatch()
    assert send(given, band(valid=False), member()) == []
    assert given.sent == 0


def test_a_speaker_sounds_the_phase_as_loud_as_the_coherence() -> None:
    ((topic, command),) = send(
        dispatch(), band(-0.5 + 0.2j, 0.6), member("n", output("horn", "speaker")), role="speaker"
    )
    assert topic == "n/output/horn/set"
    assert command.values == {"frequency": pytest.approx(550.0), "volume": pytest.approx(0.6)}
    assert command.expires_us == NOW_US + 1_000_000


def test_a_motor_follows_the_field_of_a_significant_band() -> None:
    wheels = member("n", output("wheels", "motor"))
    ((topic, command),) = send(dispatch(), significant(), wheels, role="motor")
    assert topic == "n/output/wheels/set"
    assert command.values == {"velocity": pytest.approx(0.6), "rotation": -0.5}
    assert command.expires_us == NOW_US + MOTOR_EXPIRY_US == NOW_US + 150_000


def test_a_motors_command_holds_no_longer_than_is_configured() -> None:
    given = Dispatch(TOPICS, boot=3, expiry_us=100_000)
    ((_, command),) = send(given, significant(), member("n", output("wheels", "motor")), role="motor")
    assert command.expires_us == NOW_US + 100_000


@pytest.mark.parametrize(
    "state",
    [
        significant(collapsed=False),
        significant(decidable=False),
        significant(valid=False),
        significant(0j),
        band(),
    ],
    ids=["no longer significant", "not decidable", "no phase", "no mean field", "never significant"],
)
def test_nothing_else_moves_a_motor(state: BandState) -> None:
    car = member("n", output("wheels", "motor"), output())
    assert [topic for topic, _ in send(dispatch(), state, car)] == ["n/output/light/set"] * state.valid


def test_the_dominant_band_is_followed_or_the_configured_one() -> None:
    bands = (band(1j, 0.5), BandState(name="motion", valid=True, weight=2.0, coherence=0.9, mean_field=-1 + 0j))
    for name, hue in ((None, 0.0), ("motion", 0.0), ("stride", 180.0)):
        given = Dispatch(TOPICS, boot=3, expiry_us=1_000_000, band=name)
        ((_, payload),) = given.drive(MeshState(NOW_US, bands), [member()])
        assert decode_command(payload, "display").values["hue"] == pytest.approx(hue)
    assert list(dispatch().drive(MeshState(NOW_US, ()), [member()])) == []


def test_ids_grow_over_all_outputs_and_turns() -> None:
    given = dispatch()
    two = member("a", output("x"), output("y")), member("b")
    ids = [command.id for _ in range(3) for _, command in send(given, band(), *two)]
    assert ids == list(range(9))
    assert given.sent == 9


def test_a_node_with_endless_outputs_is_not_driven_endlessly() -> None:
    many = member("n", *(output(f"o{n}") for n in range(1000)))
    assert len(send(dispatch(), band(), many)) == MAX_OUTPUTS
