"""What `provision render` writes, and that the real loaders read it as it was meant."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
import yaml
from tests.provisioning.inventory.cells import CELL, PUBLIC_KEY, edited, with_devices, write
from tests.provisioning.inventory.modules import write_all

from becomingone.broker.config import BrokerConfig
from becomingone.cli import main
from becomingone.cli.provision.inventory_kit import kit
from becomingone.config.loader import ConfigProblems, digest, load
from becomingone.errors import ConfigError, ProvisioningError
from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.provisioning.identities.cell_secrets import CellSecrets
from becomingone.provisioning.inventory.check import check
from becomingone.provisioning.inventory.render import rendered
from becomingone.provisioning.inventory.render import write as write_out

STAND_IN = "0123456789abcdef" * 4
ENVIRONMENT = {f"BECOMINGONE_SECRET_{name}": STAND_IN for name in ("NODE_KEY", "HUB_SECRET", "HUB_SIGNING_KEY")}


def files(folder: Path, text: str = CELL) -> dict[str, str]:
    found = check(write(folder, text), kit())
    return rendered(found, kit(), out=folder / "out", cell_dir=folder, hub_public_key=PUBLIC_KEY)


def put(folder: Path, made: dict[str, str]) -> Path:
    write_out(folder / "out", made)
    return folder / "out"


def test_the_loaders_read_what_was_meant(tmp_path: Path) -> None:
    out = put(tmp_path, files(tmp_path))
    node = load(NodeConfig, out / "nodes/kitchen/node.yaml", environ=ENVIRONMENT)
    assert (node.node, node.cell, node.hardware) == ("kitchen", "home", "pi_zero")
    assert node.broker.url == "mqtts://attic.local:8883"
    assert str(node.broker.certificate) == "/etc/becomingone/tls/node.crt"
    assert str(node.broker.key) == "/run/credentials/becomingone-kitchen.service/tls_key"
    assert node.security.hub_public_key == PUBLIC_KEY
    assert [one.name for one in (*node.inputs, *node.outputs)] == ["worktop", "light"]
    hub = load(HubConfig, out / "hub/hub.yaml", environ=ENVIRONMENT)
    assert hub.tick_hz == 20
    assert str(hub.broker.key) == "/run/credentials/becomingone-hub.service/tls_key"
    assert hub.desired == {
        name: digest(load(NodeConfig, out / f"nodes/{name}/node.yaml", environ=ENVIRONMENT))
        for name in ("kitchen", "porch")
    }
    broker = load(BrokerConfig, out / "broker/broker.yaml", environ={})
    assert [one.id for one in broker.identities.members] == ["hub", "kitchen", "porch", "operator:anna"]
    assert [(one.url, broker.login_of(one)) for one in broker.listeners] == [("mqtts://0.0.0.0:8883", "certificate")]
    assert broker.tls is not None
    assert str(broker.tls.revoked) == "/etc/becomingone/tls/crl.pem"


def test_nobody_may_connect_without_a_certificate(tmp_path: Path) -> None:
    broker = load(BrokerConfig, put(tmp_path, files(tmp_path)) / "broker/broker.yaml", environ={})
    assert {broker.login_of(one) for one in broker.listeners} == {"certificate"}


def test_the_ansible_inventory_has_the_groups_and_the_paths(tmp_path: Path) -> None:
    write_all(tmp_path)
    text = with_devices("{name: a, kind: thermometer}", "{name: b, kind: microphone}", "{name: c, kind: quiet}")
    made = yaml.safe_load(files(tmp_path, text + "observability: {machine: attic}\n")["hosts.yml"])["all"]
    groups = {name: list(group["hosts"]) for name, group in made["children"].items()}
    assert groups == {
        "broker": ["attic"],
        "hub": ["attic"],
        "nodes": ["kitchen", "porch"],
        "canary": ["kitchen"],
        "observability": ["attic"],
    }
    assert made["vars"].pop("becomingone_cell_dir") == str(tmp_path)
    assert re.fullmatch(r"~/\.ansible/cp/[0-9a-f]{12}", made["vars"].pop("ansible_control_path_dir"))
    assert not made["vars"]
    kitchen = made["hosts"]["kitchen"]
    assert kitchen["ansible_host"] == "kitchen.local"
    assert kitchen["becomingone_node"] == "kitchen"
    assert kitchen["becomingone_node_config"] == str(tmp_path / "out/nodes/kitchen/node.yaml")
    assert kitchen["becomingone_interfaces"] == ["audio", "i2c", "one_wire"]
    assert kitchen["becomingone_extras"] == ["audio"]
    assert kitchen["becomingone_arch"] == "arm64"
    assert kitchen["becomingone_devices"] == str(tmp_path / "devices")
    assert "becomingone_devices" not in made["hosts"]["porch"]
    attic = made["hosts"]["attic"]
    assert attic["becomingone_hub_config"] == str(tmp_path / "out/hub/hub.yaml")
    assert attic["becomingone_broker_config"] == str(tmp_path / "out/broker/broker.yaml")
    variables = {name for host in made["hosts"].values() for name in host}
    assert all(name.startswith(("becomingone_", "ansible_")) for name in variables)


def test_a_machine_may_have_another_port_user_and_architecture(tmp_path: Path) -> None:
    text = edited("  attic: {model: pi_4}", "  attic: {model: pi_4, user: anna, ssh_port: 2222, arch: armv7}")
    attic = yaml.safe_load(files(tmp_path, text)["hosts.yml"])["all"]["hosts"]["attic"]
    assert (attic["ansible_user"], attic["ansible_port"], attic["becomingone_arch"]) == ("anna", 2222, "armv7")


def test_own_modules_get_their_folder_on_the_node(tmp_path: Path) -> None:
    write_all(tmp_path)
    made = files(tmp_path, with_devices("{name: a, kind: thermometer}"))
    assert yaml.compose(made["nodes/kitchen/node.yaml"]) is not None
    assert "drop_in: /etc/becomingone/devices\n" in made["nodes/kitchen/node.yaml"]
    assert "drop_in" not in made["nodes/porch/node.yaml"]


def test_a_hub_beside_the_broker_uses_the_loopback_where_the_names_allow(tmp_path: Path) -> None:
    made = files(tmp_path, edited("names: [attic.local", "names: [localhost, attic.local"))
    assert "mqtts://localhost:8883" in made["hub/hub.yaml"]
    assert "mqtts://attic.local:8883" in made["nodes/kitchen/node.yaml"]


def test_a_node_beside_the_hub_has_a_folder_of_its_own(tmp_path: Path) -> None:
    made = files(tmp_path, edited("  porch:\n", "  porch:\n    machine: attic\n"))
    assert "state_dir: /var/lib/becomingone/porch\n" in made["nodes/porch/node.yaml"]
    assert "state_dir" not in made["nodes/kitchen/node.yaml"]


def test_an_ipv6_name_has_a_listener_and_its_brackets(tmp_path: Path) -> None:
    made = files(tmp_path, edited("names: [attic.local, 192.0.2.10]", "names: ['2001:db8::1', attic.local]"))
    assert "mqtts://[2001:db8::1]:8883" in made["nodes/kitchen/node.yaml"]
    assert [one["address"] for one in yaml.safe_load(made["broker/broker.yaml"])["listeners"]] == ["0.0.0.0", "::"]


def test_further_listeners_and_passwords_of_the_broker_are_taken(tmp_path: Path) -> None:
    options = (
        "{listeners: [{address: 0.0.0.0, port: 8884, tls: true, login: password}], "
        "passwords: {operator.anna: !secret mqtt_anna}}"
    )
    made = files(tmp_path, edited("192.0.2.10]\n", f"192.0.2.10]\n  options: {options}\n"))
    path = tmp_path / "broker.yaml"
    path.write_text(made["broker/broker.yaml"])
    broker = load(BrokerConfig, path, environ={"BECOMINGONE_SECRET_MQTT_ANNA": "a long password"})
    assert [broker.login_of(one) for one in broker.listeners] == ["certificate", "password"]
    assert broker.passwords["operator.anna"].get_secret_value() == "a long password"


def test_rules_of_a_file_are_put_into_the_hub_s(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules:\n  - {name: b, outputs: display}\n")
    dispatch = "{dispatch: {rules_file: rules.yaml, rules: [{name: a, outputs: display}]}}"
    out = put(tmp_path, files(tmp_path, edited("{tick_hz: 20}", dispatch)))
    hub = load(HubConfig, out / "hub/hub.yaml", environ=ENVIRONMENT)
    assert [rule.name for rule in hub.dispatch.rules] == ["a", "b"]
    assert hub.dispatch.rules_file is None


def test_the_cell_s_bands_and_log_level_reach_all(tmp_path: Path) -> None:
    text = edited(
        "cell: home\n",
        "cell: home\nroot: lab\nbands: {breath: {frequency_hz: 0.25, tau_s: 4.0}}\nlogging: {level: DEBUG}\n",
    )
    text = edited("    room: kitchen", "    room: kitchen\n    options: {logging: {level: ERROR}}", text)
    out = put(tmp_path, files(tmp_path, text))
    node, porch = (
        load(NodeConfig, out / f"nodes/{one}/node.yaml", environ=ENVIRONMENT) for one in ("kitchen", "porch")
    )
    hub = load(HubConfig, out / "hub/hub.yaml", environ=ENVIRONMENT)
    broker = load(BrokerConfig, out / "broker/broker.yaml", environ={})
    assert list(node.bands) == list(hub.bands) == ["breath"]
    assert {one.root for one in (node, porch, hub, broker)} == {"lab"}
    assert [one.logging.level for one in (node, porch, hub, broker)] == ["ERROR", "DEBUG", "DEBUG", "DEBUG"]


def test_the_same_file_gives_the_same_bytes_wherever_a_key_stands(tmp_path: Path) -> None:
    assert files(tmp_path) == files(tmp_path)


def test_only_what_has_changed_is_written_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = write_out(out, files(tmp_path))
    assert len(first.written) == 9
    before = {path: path.stat() for path in out.rglob("*") if path.is_file()}
    again = write_out(out, files(tmp_path))
    assert (again.written, again.removed, len(again.unchanged)) == ((), (), 9)
    assert {path: path.stat().st_ino for path in before} == {path: one.st_ino for path, one in before.items()}
    (out / "notes.txt").write_text("mine")
    (out / "nodes/mine").mkdir()
    (out / "nodes/mine/node.yaml").write_text("node: mine\n")
    changed = write_out(out, files(tmp_path, edited("  porch:", "  cellar:")))
    assert changed.removed == ("nodes/porch/node.yaml", "nodes/porch/wiring.md", "nodes/porch/wiring.svg")
    assert not (out / "nodes/porch").exists()
    assert (out / "notes.txt").exists()
    assert (out / "nodes/mine/node.yaml").exists()
    assert set(changed.written) == {
        *(f"nodes/cellar/{name}" for name in ("node.yaml", "wiring.md", "wiring.svg")),
        "hub/hub.yaml",
        "broker/broker.yaml",
        "hosts.yml",
    }


def test_other_people_s_files_are_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o755)
    (out / "hosts.yml").write_text("all: {}\n")
    with pytest.raises(ConfigError, match=r"hosts\.yml was not made by provision render, and is left alone"):
        write_out(out, files(tmp_path))
    assert [path.name for path in out.iterdir()] == ["hosts.yml"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o755


def test_the_folder_is_its_owner_s_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o755)
    write_out(out, files(tmp_path))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*")}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert modes == {0o700, 0o600}


def test_a_disk_that_refuses_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write_out(out, files(tmp_path))
    old = (out / "hub/hub.yaml").read_bytes()

    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(ProvisioningError, match="No space left on device"):
        write_out(out, files(tmp_path, edited("tick_hz: 20", "tick_hz: 30")))
    assert (out / "hub/hub.yaml").read_bytes() == old
    assert not list(out.rglob("*.new"))


def test_a_file_with_a_fault_is_not_rendered(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match="did you mean led"):
        files(tmp_path, edited("kind: led", "kind: lde"))


def test_the_command_renders_and_tells_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    assert main(["provision", "render", str(path)]) == 2
    assert "there is no such file; begin the cell there with: becomingone provision ca" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "secrets").mkdir(mode=0o700)
    cell = CellSecrets.create(tmp_path / "secrets/cell.yaml")
    assert main(["provision", "render", str(path)]) == 0
    assert "9 files written, 0 as they were, 0 removed" in capsys.readouterr().out
    assert main(["provision", "render", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["written"], len(told["unchanged"]), told["removed"]) == ([], 9, [])
    texts = [one.read_text() for one in (tmp_path / "out").rglob("*") if one.is_file()]
    for secret in (cell.secret, cell.signing_key, cell.node_key("becomingone", "home", "kitchen")):
        assert not any(secret.hex() in text for text in texts)
    assert any(cell.hub_public_key.hex() in text for text in texts)
    assert re.search(r"key: !secret .node_key.", (tmp_path / "out/nodes/kitchen/node.yaml").read_text())


def test_the_command_refuses_to_write_over_the_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["provision", "render", str(write(tmp_path)), "--out", str(tmp_path)]) == 2
    assert "must be a folder of its own" in capsys.readouterr().err


def test_the_command_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["provision", "check", str(write(tmp_path))]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/mesh.yaml: a cell of 2 nodes with 3 devices without a fault\n"
    bad = str(write(tmp_path, edited("{pin: 27}", "{pin: 17}")))
    assert main(["provision", "check", bad]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        f"becomingone: {bad}:18: nodes.kitchen.outputs[0].options.pin: GPIO 17 (pin 11) is taken by worktop (line 16) "
        "already\n"
    )
    assert main(["provision", "check", bad, "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["line"], problem["field"]) == (18, "nodes.kitchen.outputs[0].options.pin")


def test_the_configuration_commands_know_a_mesh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "example", "mesh"]) == 0
    path = write(tmp_path, capsys.readouterr().out)
    assert main(["config", "check", str(path)]) == 0
    assert "a mesh configuration without a fault" in capsys.readouterr().out
    assert main(["config", "schema", "mesh"]) == 0
    assert set(json.loads(capsys.readouterr().out)["required"]) == {"broker", "hub", "nodes"}
    write(tmp_path, edited("kind: led", "kind: lde"))
    assert main(["config", "check", "--json", str(path)]) == 2
    assert json.loads(capsys.readouterr().out)["problems"][0]["line"] == 18
    assert main(["config", "check", "--set", "cell=x", str(path)]) == 2
    assert "--set: a mesh is its file alone" in capsys.readouterr().err
