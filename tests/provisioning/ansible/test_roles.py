"""What must hold of roles and playbooks, read from their files: Ansible need not be installed."""

import html
import importlib.util
import itertools
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
import yaml

from becomingone.cli.service_unit import _SANDBOX

ANSIBLE = Path(__file__).parents[3] / "ansible"
ROLES = sorted(path.name for path in (ANSIBLE / "roles").iterdir() if path.is_dir())
FILES = sorted(path for path in ANSIBLE.rglob("*.yml") if "meta" not in path.parts)
DEFAULTS = yaml.safe_load((ANSIBLE / "roles/becomingone/defaults/main.yml").read_text())
FROM_INVENTORY = {
    "becomingone_cell_dir", "becomingone_node", "becomingone_node_config", "becomingone_hub_config",
    "becomingone_broker_config", "becomingone_arch",
}  # fmt: skip
OF_PLAYBOOKS = {
    "becomingone_gone", "becomingone_operator", "becomingone_backup", "becomingone_serial", "becomingone_command",
}  # fmt: skip
NOT_VARIABLES = {
    "becomingone_secret", "becomingone_switch", "becomingone_node_ready", "becomingone_node_frames_total",
    "becomingone_release",
}  # fmt: skip


def tasks_of(content):
    """Every task, also those in blocks."""
    for entry in content or []:
        for part in ("block", "rescue", "always", "tasks", "handlers", "pre_tasks", "post_tasks"):
            yield from tasks_of(entry.get(part))
        if "hosts" not in entry and "block" not in entry:
            yield entry


TASKS = [
    pytest.param(task, id=f"{path.relative_to(ANSIBLE)}: {task.get('name')}")
    for path in FILES
    if "defaults" not in path.parts and "vars" not in path.parts
    for task in tasks_of(yaml.safe_load(path.read_text()))
]


def test_there_are_the_roles_and_playbooks_that_people_are_told_of():
    assert set(ROLES) == {"becomingone", "broker", "common", "hub", "node", "observability", "release"}
    books = {path.name for path in ANSIBLE.glob("*.yml")}
    assert books == {
        "site.yml", "upgrade.yml", "rollback.yml", "decommission.yml", "backup.yml", "restore.yml", "carry.yml",
    }  # fmt: skip


TEXTS = sorted(path for path in ANSIBLE.rglob("*") if path.suffix in {".yml", ".j2"} and "meta" not in path.parts)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ANSIBLE)))
def test_a_switch_may_be_a_word_as_the_command_line_gives_it(path):
    """``-e becomingone_offline=true`` is the word "true", which Ansible takes for no condition."""
    switches = "|".join(name for name, value in DEFAULTS.items() if isinstance(value, bool))
    used = re.findall(rf"\b(?:{switches})\b(?! \| bool)(?![=:])", path.read_text())
    assert not used, f"{used} without | bool"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ANSIBLE)))
def test_nothing_is_left_in_the_order_of_a_set(path):
    """Ansible's filters of sets give what they hold in an order that differs from run to run."""
    found = re.findall(r"\| *(?:intersect|difference|union|symmetric_difference)\b", path.read_text())
    assert not found, f"{found}: select('in', ...) and reject('in', ...) keep the order"


def test_services_are_started_in_the_order_in_which_they_need_each_other():
    jinja2 = pytest.importorskip("jinja2", reason="comes with Ansible")
    parts = jinja2.Environment(autoescape=True).from_string(DEFAULTS["becomingone_parts"])
    for groups in itertools.permutations(["all", "broker", "canary", "hub", "nodes"]):
        assert html.unescape(parts.render(group_names=groups)) == "['broker', 'hub', 'nodes']"
    assert html.unescape(parts.render(group_names=["all", "nodes"])) == "['nodes']"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ANSIBLE)))
def test_every_variable_has_a_default_or_comes_from_the_inventory(path):
    used = set(re.findall(r"\bbecomingone_[a-z_]+", path.read_text()))
    assert used <= set(DEFAULTS) | FROM_INVENTORY | OF_PLAYBOOKS | NOT_VARIABLES


@pytest.mark.parametrize("role", ROLES)
def test_every_role_specifies_its_variables_with_their_true_defaults(role):
    specs = yaml.safe_load((ANSIBLE / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    entries = {path.stem for path in (ANSIBLE / "roles" / role / "tasks").glob("*.yml")}
    assert set(specs) <= entries
    for name, spec in specs["main"]["options"].items():
        assert spec["description"].endswith(".")
        assert name in DEFAULTS or name in FROM_INVENTORY
        if "default" in spec:
            assert spec["default"] == DEFAULTS[name]
        assert spec.get("required", False) is (name in FROM_INVENTORY - {"becomingone_arch"}) or role == "common"


def test_every_default_is_specified_or_is_the_business_of_the_roles_alone():
    specified = set()
    for role in ROLES:
        path = ANSIBLE / "roles" / role / "meta/argument_specs.yml"
        if path.exists():
            specified |= set(yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"])
    internal = {"becomingone_parts"}
    tables = {name for name in DEFAULTS if "_of_" in name or name.endswith(("_of", "_packages", "_requirements"))}
    assert set(DEFAULTS) - specified - internal - tables == set()


@pytest.mark.parametrize("task", TASKS)
def test_no_command_without_saying_whether_it_changed_something(task):
    if "ansible.builtin.command" in task or "ansible.builtin.shell" in task:
        command = task.get("ansible.builtin.command")
        assert "changed_when" in task or (isinstance(command, dict) and "creates" in command)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_secret_is_neither_shown_nor_open(task):
    copied = task.get("ansible.builtin.copy") or {}
    places = str(copied.get("dest")) + str(copied.get("src"))
    if "credstore" in places or "tls.key" in places or "becomingone_secret" in str(task):
        assert task["no_log"] is True
        assert task["diff"] is False
        assert (copied["owner"], copied["mode"]) == ("root", "0600")


@pytest.mark.parametrize("task", TASKS)
def test_files_have_an_owner_and_a_mode(task):
    for module in ("copy", "template"):
        given = task.get(f"ansible.builtin.{module}")
        if given:
            assert "mode" in given


@pytest.mark.parametrize(("role", "part"), [("hub", "hub"), ("broker", "broker"), ("hub", "memory-backup")])
def test_services_are_shut_in_as_a_node_is(role, part):
    text = (ANSIBLE / f"roles/{role}/templates/becomingone-{part}.service.j2").read_text().splitlines()
    missing = [line for line in _SANDBOX.splitlines() if line not in text]
    if part == "memory-backup":  # it reaches nobody, and works at a low priority
        assert [line.partition("=")[0] for line in missing] == ["RestrictAddressFamilies", "SystemCallFilter"]
        assert "RestrictAddressFamilies=none" in text
        assert "SystemCallFilter=~@privileged" in text
    else:
        assert missing == []
        assert f"User=becomingone-{part}" in text
    assert "PrivateDevices=yes" in text
    assert "ProtectHome=yes" in text


def test_old_copies_of_the_memory_go_when_a_new_one_is_there(tmp_path, monkeypatch):
    path = ANSIBLE / "roles/hub/files/memory-backup"
    spec = importlib.util.spec_from_loader("memory_backup", SourceFileLoader("memory_backup", str(path)))
    assert spec
    assert spec.loader
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for day in range(1, 5):
        (tmp_path / f"2026-01-0{day}T03-20-00Z.db").touch()
    done = 0

    def run(words, check):
        assert words[-3:-1] == [tmp_path / "memory.db", "--out"]
        if done == 0:
            words[-1].touch()
        return subprocess.CompletedProcess(words, done)

    monkeypatch.setattr(module.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["memory-backup", "--keep", "3", str(tmp_path / "memory.db"), str(tmp_path)])
    assert module.main() == 0
    left = sorted(path.name for path in tmp_path.glob("*.db"))
    assert left[:2] == ["2026-01-03T03-20-00Z.db", "2026-01-04T03-20-00Z.db"]
    assert len(left) == 3
    done = 1
    assert module.main() == 1
    assert sorted(path.name for path in tmp_path.glob("*.db")) == left
