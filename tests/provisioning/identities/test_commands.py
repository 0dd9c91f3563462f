"""`becomingone provision ca|node|...|list` as people use them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from becomingone.cli import main
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.subject import subject_of

from .cells import content, request

MESH = """\
cell: home
broker: {machine: attic, names: [attic.local, 192.0.2.10]}
hub: {machine: attic}
machines:
  attic: {model: pi_4}
nodes:
  kitchen: {hardware: pi_zero, model: zero_2_w}
  porch: {hardware: pi_zero, model: zero_2_w}
operators: [anna]
observers: [hall]
"""

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    def said(*words: str) -> tuple[int, str, str]:
        code = main(["provision", *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return said


def listed(say: Say, *words: str) -> dict[str, dict[str, Any]]:
    code, out, _ = say("list", "--json", *words)
    assert code == 0
    return {one["identity"]: one for one in json.loads(out)["certificates"]}


def test_a_cell_from_nothing(say: Say, tmp_path: Path) -> None:
    code, out, _ = say("ca", "--cell", "lab")
    assert code == 0
    assert out.startswith("secrets: the authority of the cell lab, until ")
    assert say("node", "kitchen", "porch")[0] == 0
    assert say("hub")[0] == 0
    assert say("operator", "anna")[0] == 0
    assert say("observer", "hall")[0] == say("witness", "eve")[0] == say("relay", "attic")[0] == 0
    code, out, _ = say("broker", "--host", "attic.local", "--host", "192.0.2.10")
    assert code == 0
    assert out.split()[:2] == ["broker", "broker"]
    found = listed(say)
    assert {name: one["role"] for name, one in found.items()} == {
        "kitchen": "node", "porch": "node", "hub": "hub", "operator:anna": "operator", "observer:hall": "observer",
        "witness:eve": "witness", "relay:attic": "relay", "broker": "broker",
    }  # fmt: skip
    assert {(one["state"], one["key"]) for one in found.values()} == {("valid", "here")}
    assert {one["days_left"] for one in found.values()} <= {364, 365}  # where a second has begun meanwhile
    assert sorted(path.name for path in (tmp_path / "secrets" / "identities").iterdir())[:2] == ["broker", "hub"]


def test_a_cell_s_folder_may_be_anywhere(say: Say, tmp_path: Path) -> None:
    assert say("ca", "--cell-dir", "there")[0] == 0
    assert say("node", "kitchen", "--cell-dir", "there")[0] == 0
    assert (tmp_path / "there" / "secrets" / "identities" / "kitchen" / "tls.key").exists()
    code, _, err = say("node", "kitchen")
    assert code == 2
    assert err == "becomingone: secrets: there is no such folder: becomingone provision ca makes a cell's secrets\n"


def test_everybody_in_the_inventory(say: Say, tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH)
    assert say("ca")[0] == 0
    code, out, _ = say("node", "--all", "--json")
    assert code == 0
    assert {one["identity"] for one in json.loads(out)["made"]} == {
        "broker", "hub", "kitchen", "porch", "operator:anna", "observer:hall",
    }  # fmt: skip
    before = content(tmp_path / "secrets")
    code, out, _ = say("node", "--all")
    assert (code, out) == (0, "nobody else is without a certificate\n")
    assert content(tmp_path / "secrets") == before
    assert say("revoke", "porch")[0] == 0
    code, out, _ = say("node", "--all")
    assert "porch: was revoked and stays out; a new one is made only by name" in out
    (tmp_path / "mesh.yaml").write_text(MESH.replace("192.0.2.10", "192.0.2.11"))
    assert say("renew", "broker")[0] == 0
    certificate = (tmp_path / "secrets" / "identities" / "broker" / "tls.crt").read_bytes()
    from cryptography import x509  # noqa: PLC0415

    made = x509.load_pem_x509_certificate(certificate)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["attic.local", "192.0.2.11"]


def test_what_does_not_fit_the_inventory_is_refused(say: Say, tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH)
    assert say("ca", "--cell", "lab")[2] == "becomingone: --cell lab: mesh.yaml is of the cell home\n"
    (tmp_path / "mesh.yaml").write_text(MESH.replace("cell: home", "cell: [home"))
    code, _, err = say("ca")
    assert code == 2
    assert err.startswith("becomingone: mesh.yaml:1: ")
    (tmp_path / "mesh.yaml").unlink()
    assert say("ca", "--cell", "lab")[0] == 0
    assert "there is no mesh.yaml" in say("node", "--all")[2]
    (tmp_path / "mesh.yaml").write_text(MESH)
    assert "mesh.yaml is of the cell home, and the authority of lab" in say("node", "--all")[2]


def test_revoking(say: Say, tmp_path: Path) -> None:
    say("ca")
    say("node", "kitchen", "porch", "cellar")
    say("renew", "kitchen")
    serials = [one["serial"] for one in listed(say).values()]
    code, out, _ = say("revoke", "kitchen", "porch", "--reason", "key-compromise")
    assert code == 0
    assert out.count("is void (key-compromise)") == 3  # also the one before the renewal
    assert f"{Path('secrets') / 'crl.pem'}: list 3, with 3 void" in out
    assert "sudo systemctl reload becomingone-broker" in out
    assert not (tmp_path / "secrets" / "identities" / "kitchen").exists()
    assert {name: one["state"] for name, one in listed(say).items()} == {
        "kitchen": "revoked", "porch": "revoked", "cellar": "valid",
    }  # fmt: skip
    code, out, _ = say("revoke", "porch")
    assert code == 0
    assert out.startswith("all of that was void already\n")
    code, out, _ = say("revoke", "--serial", serials[2], "--json")
    assert json.loads(out)["revoked"] == [{"identity": "cellar", "serial": serials[2]}]
    assert len(listed(say, "--all")) == 3


def test_nobody_is_revoked_where_one_name_is_wrong(say: Say, tmp_path: Path) -> None:
    say("ca")
    say("node", "kitchen")
    before = content(tmp_path / "secrets")
    for words, says in (
        (("kitchen", "nobody"), "nobody: has no certificate that has not ended; there is nothing to revoke"),
        (("kitchen", "Anna"), "'Anna' must be 1 to 63"),
        ((), "name whose certificates are to be void, or give --serial HEX"),
        (("kitchen", "--serial", "1f"), "name whose certificates are to be void, or give --serial HEX"),
        (("--serial", "1f"), "serial 1f: no certificate of this cell has that number"),
    ):
        code, _, err = say("revoke", *words)
        assert code == 2
        assert says in err
        assert err.count("\n") == 1
    assert content(tmp_path / "secrets") == before


def test_nobody_is_made_where_one_name_is_wrong(say: Say, tmp_path: Path) -> None:
    say("ca")
    say("node", "kitchen")
    before = content(tmp_path / "secrets")
    for words, says in (
        (("node", "porch", "kitchen"), "kitchen: has a certificate until"),
        (("node", "porch", "küche"), "'küche' must be 1 to 63"),
        (("node", "porch", "hub"), "that name is the hub's own"),
        (("node",), "give the nodes' ids, or --all"),
        (("node", "porch", "--all"), "give the nodes' ids, or --all"),
        (("operator", "a.b"), "must be 1 to 63"),
        (("broker",), "--host"),
        (("renew",), "name who is to have a new certificate, or give --due"),
        (("renew", "kitchen", "porch"), "porch: has no certificate yet: becomingone provision node porch"),
        (("renew", "kitchen", "--host", "a.local"), "only the broker has host names"),
    ):
        code, _, err = say(*words)
        assert code == 2, words
        assert says in err
        assert err.count("\n") == 1
    assert content(tmp_path / "secrets") == before


def test_renewing_what_is_due(say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say("ca")
    say("node", "kitchen", "--days", "300")
    code, out, _ = say("renew", "--due")
    assert (code, out) == (0, "nobody's certificate is due\n")
    say("node", "porch", "--days", "1")  # of two days, with the one before; not a third is left in 16 hours
    authority = Authority.open(tmp_path / "secrets")
    authority.sign_request(request(), subject_of("attic"), days=1)
    ledger = tmp_path / "secrets" / "issued.jsonl"
    text = ledger.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:  # as if they had been issued months ago
        if line.get("identity") in ("porch", "attic"):
            line["not_before"] = "2026-01-01T00:00:00+00:00"
    ledger.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    code, out, _ = say("renew", "--due", "--json")
    told = json.loads(out)
    assert {one["identity"] for one in told["made"]} == {"porch", "attic"}
    assert (tmp_path / "secrets/identities/porch/tls.key").exists()
    assert not (tmp_path / "secrets/identities/attic/tls.key").exists()
    code, out, _ = say("renew", "--due")
    assert (code, out) == (0, "nobody's certificate is due\n")


def test_a_list_that_a_crash_kept_from_being_written_is_told(say: Say, tmp_path: Path) -> None:
    say("ca")
    say("node", "kitchen")
    crl = tmp_path / "secrets" / "crl.pem"
    before = crl.read_bytes()
    say("revoke", "kitchen")
    crl.write_bytes(before)
    out = say("list")[1]
    assert "warning: kitchen: is void and not in the revocation list: becomingone provision crl writes it anew" in out
    crl.unlink()
    assert "crl.pem cannot be read: No such file" in say("list")[1]
    assert json.loads(say("crl", "--json")[1]) == {"crl": str(Path("secrets/crl.pem")), "crl_number": 3, "void": 1}
    assert "warning" not in say("list")[1]


def test_an_authority_s_last_year_is_told(say: Say) -> None:
    say("ca", "--days", "300")
    say("node", "kitchen")
    out = say("list")[1]
    assert re.search(r"warning: the authority ends in (299|300) days, and everybody's certificate with it", out)
    assert re.search(r" (299|300)  valid", out)  # nobody outlives it


def test_a_passphrase_from_a_file_a_credential_and_a_terminal(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = tmp_path / "word"
    word.touch(0o600)
    word.write_text("correct horse battery\n")
    assert say("ca", "--passphrase-file", "word")[0] == 0
    assert say("list")[0] == 0
    code, _, err = say("node", "kitchen")
    assert code == 2
    assert "the authority's key has a passphrase: give --passphrase-file FILE, or use a terminal" in err
    assert say("node", "kitchen", "--passphrase-file", "word")[0] == 0
    (tmp_path / "ca_passphrase").touch(0o600)
    (tmp_path / "ca_passphrase").write_text("correct horse battery")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert say("node", "porch")[0] == 0
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    answers = ["wrong and long enough", "correct horse battery"]
    monkeypatch.setattr("getpass.getpass", lambda _prompt: answers.pop(0))
    assert "the passphrase is wrong" in say("node", "cellar")[2]
    assert say("node", "cellar")[0] == 0
    word.chmod(0o644)
    code, _, err = say("node", "attic", "--passphrase-file", "word")
    assert "word must be for its owner alone (its mode is 644): chmod 600 word" in err
    assert sorted(listed(say)) == ["cellar", "kitchen", "porch"]


def test_a_new_passphrase_is_asked_for_twice(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "asks on a terminal, and there is none" in say("ca", "--passphrase")[2]
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    answers = ["correct horse battery", "correct hoarse battery", "short", "short", "battery staple", "battery staple"]
    monkeypatch.setattr("getpass.getpass", lambda _prompt: answers.pop(0))
    assert "the two passphrases differ; nothing has been made" in say("ca", "--passphrase")[2]
    assert "at least 12 characters" in say("ca", "--passphrase")[2]
    assert not (tmp_path / "secrets").exists()
    assert say("ca", "--passphrase")[0] == 0
    assert b"ENCRYPTED" in (tmp_path / "secrets" / "ca.key").read_bytes()


def test_no_secret_is_shown_by_any_of_it(say: Say, tmp_path: Path) -> None:
    told = "".join("".join(say(*words)[1:]) for words in (("ca",), ("node", "kitchen"), ("list",), ("ca",)))
    told += "".join(say("list", "--json", "--all")[1:]) + "".join(say("revoke", "kitchen", "--json")[1:])
    key = (tmp_path / "secrets" / "ca.key").read_text().splitlines()[1]
    cell = (tmp_path / "secrets" / "cell.yaml").read_text()
    assert key not in told
    assert not any(word.strip("'") in told for word in cell.split() if len(word) > 60)


def test_the_reasons_are_those_of_the_list() -> None:
    from becomingone.cli.provision.identities import REASONS  # noqa: PLC0415
    from becomingone.provisioning.identities.certificates import REASONS as KNOWN  # noqa: PLC0415

    assert tuple(KNOWN) == REASONS


@pytest.mark.parametrize(
    "words", [("ca", "--days", "0"), ("node", "x", "--days", "36501"), ("revoke", "--serial", "xyz"), ("king", "x")]
)
def test_arguments_that_cannot_be_end_with_two(say: Say, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        say(*words)
    assert ended.value.code == 2
    assert os.listdir() == []  # noqa: PTH208
