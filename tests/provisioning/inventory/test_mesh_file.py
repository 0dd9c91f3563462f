"""``mesh.yaml`` as it is read: its defaults, and what between its parts is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.provisioning.inventory.cells import CELL, edited, line_of, write

from becomingone.errors import ConfigError
from becomingone.provisioning.inventory.document import Reference
from becomingone.provisioning.inventory.mesh_file import load_mesh
from becomingone.provisioning.inventory.structure import is_host


def test_a_small_cell_is_read_with_its_defaults(tmp_path: Path) -> None:
    mesh = load_mesh(write(tmp_path))
    assert {name: (one.model, one.address, one.user) for name, one in mesh.computers.items()} == {
        "attic": ("pi_4", "attic.local", "pi"),
        "kitchen": ("zero_2_w", "kitchen.local", "pi"),
        "porch": ("pi_4", "porch.local", "pi"),
    }
    assert mesh.broker.port == 8883
    assert mesh.canary == "kitchen"
    assert [one.id for one in mesh.identities] == ["hub", "kitchen", "porch", "operator:anna"]
    assert mesh.machine_of("porch").name == "porch"


def test_a_canary_and_a_machine_of_another_name_are_taken(tmp_path: Path) -> None:
    text = edited("    model: pi_4\n    inputs", "    canary: true\n    machine: attic\n    inputs")
    mesh = load_mesh(write(tmp_path, text))
    assert mesh.canary == "porch"
    assert mesh.machine_of("porch").name == "attic"
    assert "porch" not in mesh.computers


def test_a_secret_stays_a_name(tmp_path: Path) -> None:
    mesh = load_mesh(write(tmp_path, edited("{tick_hz: 20}", "{relay: {broker: {password: !secret parent}}}")))
    found = mesh.hub.options["relay"]["broker"]["password"]
    assert isinstance(found, Reference)
    assert found.name == "parent"
    assert "parent" not in repr(mesh)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("model: zero_2_w", "model: zero_3", "nodes.kitchen.model: there is no board 'zero_3'; known are pi_1_b"),
        ("  porch:", "  kitchen:", "nodes.kitchen: is written twice (first on line 11)"),
        ("  porch:", "  Porch:", "nodes.Porch: must match the pattern"),
        ("  porch:", "  front_door:", "nodes.front_door: 'front_door' cannot be a machine's name"),
        ("  porch:", "  hub:", "nodes.hub: a node cannot be called hub"),
        ("  porch:", "  join:", "nodes.join: a node cannot be called join"),
        ("  porch:", "  nodes:", "nodes.nodes: a machine cannot be called nodes, which is a group of Ansible's"),
        ("names: [attic.local, 192.0.2.10]", "names: [192.0.2.10]", "broker.names: do not cover attic.local"),
        ("names: [attic.local, 192.0.2.10]", "names: [attic.local, a_b]", "broker.names[1]: must be a host name"),
        (
            "names: [attic.local, 192.0.2.10]",
            "names: [attic.local, Attic.local]",
            "broker.names[1]: Attic.local is the",
        ),
        ("names: [attic.local, 192.0.2.10]", "names: []", "broker.names: must have at least 1 items"),
        (
            "  attic: {model: pi_4}",
            "  attic: {model: pi_4, address: localhost}",
            "broker.names: do not cover localhost",
        ),
        (
            "  attic: {model: pi_4}",
            "  attic: {model: pi_4, address: 192.0.2}",
            "machines.attic.address: must be a host",
        ),
        ("  attic: {model: pi_4}", "  attic: {model: zero_w, arch: arm64}", "machines.attic.arch: Raspberry Pi Zero W"),
        ("  attic: {model: pi_4}", "  -attic: {model: pi_4}", "machines.-attic: '-attic' cannot be a machine's name"),
        (
            "hub:\n  machine: attic",
            "hub:\n  machine: cellar",
            "hub.machine: there is no machine cellar; there are attic",
        ),
        ("broker:\n  machine: attic", "broker:\n  machine: loft", "broker.machine: there is no machine loft"),
        ("    room: kitchen", "    machine: loft", "nodes.kitchen.machine: there is no machine loft"),
        ("    model: zero_2_w\n", "", "nodes.kitchen: model: is missing"),
        ("    room: kitchen", "    machine: attic", "nodes.kitchen.model: its machine attic is a pi_4, not a zero_2_w"),
        ("[anna]", "[anna, bea, anna]", "operators[2]: anna is there twice"),
        ("[anna]", "[anna]\nobservers: [hall, hall]", "observers[1]: hall is there twice"),
        ("[anna]", "[Anna]", "operators[0]: must match the pattern"),
        ("[anna]", "[anna]\nobservability: {machine: loft}", "observability.machine: there is no machine loft"),
        (
            "  attic: {model: pi_4}",
            "  attic: {model: pi_4, address: porch.local}",
            "nodes.porch: porch.local is the add",
        ),
        ("cell: home", "cell: Home", "cell: must match the pattern"),
        (
            "cell: home",
            "cell: home\nbands: {slow: {frequency_hz: 1, tau_s: 1, lag_s: 1}}",
            "bands.slow: band slow: lag_s",
        ),
        ("    room: kitchen", "    rom: kitchen", "nodes.kitchen.rom: unknown field; did you mean 'room'?"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = edited(old, new)
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load_mesh(path)
    assert any(said in line for line in str(refused.value).splitlines()), str(refused.value)
    assert all(line.startswith(f"{path}:") for line in str(refused.value).splitlines())


def test_the_line_is_the_line_of_the_field(tmp_path: Path) -> None:
    text = edited("[anna]", "[anna, anna]")
    with pytest.raises(ConfigError) as refused:
        load_mesh(write(tmp_path, text))
    assert str(refused.value).startswith(f"{tmp_path}/mesh.yaml:{line_of(text, 'operators')}: ")


def test_two_nodes_of_one_machine_are_refused(tmp_path: Path) -> None:
    text = CELL.replace("    model: zero_2_w\n", "    machine: attic\n").replace(
        "    model: pi_4\n", "    machine: attic\n"
    )
    with pytest.raises(ConfigError, match="its machine attic runs the node kitchen already"):
        load_mesh(write(tmp_path, text))


def test_everything_is_said_at_once(tmp_path: Path) -> None:
    text = CELL.replace("[anna]", "[anna, anna]").replace("zero_2_w", "zero_3").replace("porch:", "join:")
    with pytest.raises(ConfigError) as refused:
        load_mesh(write(tmp_path, text))
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize("text", ["", "- 1\n", "cell:\t1\n", "a: [", "\x00", "nodes: !!python/object:os.system x"])
def test_what_is_no_mapping_is_one_line(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load_mesh(path)
    assert str(refused.value).splitlines()[0].startswith(f"{path}:")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_mesh(tmp_path / "mesh.yaml")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("attic.local", True),
        ("attic", True),
        ("192.0.2.10", True),
        ("2001:db8::1", True),
        ("xn--bcher-kva.example", True),
        ("3com.example", True),
        ("a_b", False),
        ("-a", False),
        ("a-", False),
        ("a..b", False),
        ("a.", False),
        ("192.0.2", False),
        ("192.0.2.256", False),
        ("a" * 64, False),
        (".".join(["a" * 63] * 4), False),
        ("küche", False),
        ("", False),
        ("a b", False),
        ("fe80::1%eth0", False),
    ],
)
def test_host_names_are_those_of_the_rfc(text: str, is_one: bool) -> None:
    assert is_host(text) is is_one
