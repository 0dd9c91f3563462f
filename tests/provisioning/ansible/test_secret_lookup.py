"""The lookup that brings the cell's secrets to the machines that must have them."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest

from becomingone.provisioning.identities.cell_secrets import CellSecrets

ROOT = Path(__file__).parents[3]


class AnsibleError(Exception):
    pass


class LookupBase:
    """As much of Ansible's as the lookup uses."""

    def set_options(self, var_options=None, direct=None):
        self._options = direct or {}

    def get_option(self, name):
        return self._options.get(name)


@pytest.fixture
def lookup(monkeypatch):
    for name, content in {
        "ansible": {}, "ansible.errors": {"AnsibleError": AnsibleError}, "ansible.plugins": {},
        "ansible.plugins.lookup": {"LookupBase": LookupBase},
    }.items():  # fmt: skip
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    file = ROOT / "ansible/lookup_plugins/becomingone_secret.py"
    spec = importlib.util.spec_from_file_location("secret_lookup", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LookupModule()


@pytest.fixture
def cell(tmp_path):
    (tmp_path / "secrets").mkdir(mode=0o700)
    made = CellSecrets.create(tmp_path / "secrets/cell.yaml", random_bytes=lambda count: bytes(range(count)))
    return tmp_path, made


def write(folder, text):
    path = folder / "node.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node: kitchen\ncell: street\nroot: a/b\nsecurity: {key: !secret 'node_key'}\n", ("a/b", "street", "kitchen")),
        ("node: porch\n", ("becomingone", "home", "porch")),
    ],
)
def test_a_nodes_key_is_the_one_that_the_hub_makes(lookup, cell, text, names):
    folder, made = cell
    (key,) = lookup.run(["node_key"], cell_dir=str(folder), config=write(folder, text))
    assert bytes.fromhex(key) == made.node_key(*names)


def test_the_hubs_secrets_are_those_of_the_file(lookup, cell):
    folder, made = cell
    told = lookup.run(["secret", "signing_key"], cell_dir=str(folder))
    assert [bytes.fromhex(one) for one in told] == [made.secret, made.signing_key]


@pytest.mark.parametrize("text", ["", "- a\n", "secret: abc\n", "secret: [1]\n", "signing_key: a: b\n", "secret: ''\n"])
def test_a_broken_file_is_named_and_not_shown(lookup, tmp_path, text):
    (tmp_path / "secrets").mkdir()
    path = tmp_path / "secrets/cell.yaml"
    path.write_text(text)
    with pytest.raises(AnsibleError) as refused:
        lookup.run(["secret"], cell_dir=str(tmp_path))
    assert str(refused.value).startswith(str(path))
    assert "abc" not in str(refused.value)


def test_a_missing_file_is_named(lookup, tmp_path):
    with pytest.raises(AnsibleError, match=r"secrets/cell\.yaml: No such file"):
        lookup.run(["secret"], cell_dir=str(tmp_path))
