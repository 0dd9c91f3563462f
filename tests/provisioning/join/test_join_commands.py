"""The commands, as they are typed."""

import json
import stat
from datetime import UTC, datetime

import pytest

from becomingone.cli import main
from becomingone.errors import ProvisioningError
from becomingone.provisioning.join.join_file import read_join_file
from becomingone.provisioning.join.joining import joined
from becomingone.provisioning.join.machine import Machine
from becomingone.provisioning.join.token import JoinToken, key_code

from .cell import Joining, joined_as, request
from .processes import join, run, serving, token_of


@pytest.fixture
def folder(cell):
    cell.clock.time = datetime.now(UTC)
    return cell.folder


def command(*words):
    return main(["provision", *map(str, words)])


def test_a_token_is_printed_once_and_alone_on_standard_output(cell, folder, capsys):
    assert command("token", "kitchen", "--cell-dir", folder, "--valid", "30m") == 0
    shown = capsys.readouterr()
    token = JoinToken.read(shown.out)
    assert token.node == "kitchen"
    assert token.trusts(bytes.fromhex(cell.authority.fingerprint))
    assert shown.err.startswith("for kitchen, once, until 20")
    record = cell.record()
    assert record.digest == token.digest
    assert (record.expires - record.made).total_seconds() == 1800
    assert command("token", "kitchen", "--cell-dir", folder, "--approve", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["node"], facts["approve"], facts["replaced"]) == ("kitchen", True, True)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["token", "attic"], "attic/node.yaml: there is no such file yet: becomingone provision render makes it"),
        (["token", "hub"], "the hub cannot join by a token"),
        (["token", "Kitchen"], "'Kitchen' must be"),
        (["approve", "kitchen"], "kitchen has no token: becomingone provision token kitchen makes one"),
        (["approve", "--deny", "kitchen"], "kitchen has no token; there is nothing to deny"),
    ],
)
def test_what_cannot_be_is_one_line(folder, capsys, words, line):
    code = command(*words, "--cell-dir", folder)
    assert code == (2 if words[0] == "token" else 1)
    told = capsys.readouterr().err
    assert line in told
    assert told.count("\n") == 1


def test_a_folder_without_a_cell_is_told(tmp_path, capsys):
    for words in (["token", "kitchen"], ["approve"], ["serve"]):
        assert command(*words, "--cell-dir", tmp_path) == 2
        assert "there is no such folder: becomingone provision ca" in capsys.readouterr().err


@pytest.mark.parametrize("valid", ["0h", "31d", "24", "1w", "-1h"])
def test_a_time_that_is_none_is_refused(folder, valid, capsys):
    with pytest.raises(SystemExit) as ended:
        command("token", "kitchen", "--cell-dir", folder, f"--valid={valid}")
    assert ended.value.code == 2
    assert "30m, 24h or 7d" in capsys.readouterr().err


def wait_with(cell):
    token = cell.token(approve=True)
    cell.enrolment().ask(request(token), "192.0.2.7")
    return key_code(cell.record().key)


def test_an_operator_sees_who_waits_and_approves_that_key_alone(cell, folder, capsys):
    code = wait_with(cell)
    assert command("approve", "--cell-dir", folder) == 0
    assert (
        f"waiting  until {cell.record().expires:%Y-%m-%d %H:%M} UTC  key {code} from 192.0.2.7"
        in capsys.readouterr().out
    )
    assert command("approve", "kitchen", "--cell-dir", folder, "--code", "00000 00000") == 2
    assert f"the key that waits for kitchen is {code}; nothing has been approved" in capsys.readouterr().err
    assert cell.state() == "waiting"
    assert command("approve", "kitchen", "--cell-dir", folder, "--code", code.replace(" ", "")) == 0
    assert cell.state() == "granted"
    assert command("approve", "kitchen", "--cell-dir", folder, "--yes") == 1
    assert "kitchen does not wait: it needs no approval, or has it" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "state", "ended"), [("y", "granted", 0), ("", "waiting", 1), ("n", "waiting", 1)])
def test_on_a_terminal_it_asks(cell, folder, mocker, capsys, answer, state, ended):
    code = wait_with(cell)
    mocker.patch("sys.stdin.isatty", return_value=True)
    asked = mocker.patch("builtins.input", return_value=answer)
    assert command("approve", "kitchen", "--cell-dir", folder) == ended
    assert asked.call_count == 1
    assert f"kitchen at 192.0.2.7: the key {code}" in capsys.readouterr().out
    assert cell.state() == state


def test_without_a_terminal_it_asks_nobody(cell, folder, mocker, capsys):
    wait_with(cell)
    mocker.patch("sys.stdin.isatty", return_value=False)
    assert command("approve", "kitchen", "--cell-dir", folder) == 2
    assert "give --code DIGITS" in capsys.readouterr().err
    assert cell.state() == "waiting"


def test_a_key_that_came_between_looking_and_approving_is_not_approved(cell, folder, mocker, capsys):
    wait_with(cell)
    mocker.patch("sys.stdin.isatty", return_value=True)

    def another(_question):
        wait_with(cell)
        return "y"

    mocker.patch("builtins.input", another)
    assert command("approve", "kitchen", "--cell-dir", folder) == 1
    assert "another key waits for kitchen by now" in capsys.readouterr().err
    assert cell.state() == "waiting"


def test_a_token_can_be_denied_whether_or_not_somebody_waits(cell, folder, capsys):
    cell.token()
    assert command("approve", "--deny", "kitchen", "--cell-dir", folder) == 0
    assert cell.state() == "denied"
    wait_with(cell)
    assert command("approve", "--deny", "kitchen", "--cell-dir", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["state"] == "denied"


def test_no_token_s_hash_is_shown(cell, folder, capsys):
    wait_with(cell)
    assert command("approve", "--json", "--cell-dir", folder) == 0
    shown = capsys.readouterr().out
    assert cell.record().digest not in shown
    assert cell.record().key not in shown
    assert json.loads(shown)["tokens"][0]["code"] == key_code(cell.record().key)


def test_from_the_token_to_the_node_by_commands_alone(tmp_path, folder):
    """One server, three machines: joined, joined once more, refused."""
    root = tmp_path / "node"
    with serving(folder, tmp_path / "log") as server:
        token = token_of(folder, "kitchen")
        join_file = Machine(root).join_config
        join_file.parent.mkdir(parents=True)
        join_file.touch(0o600)
        join_file.write_text(f"url: {server.url}\ntoken: {token}\n")
        first = run("join", "--root", str(root), "--json")
        assert json.loads(first.stdout)["node"] == "kitchen"
        assert not join_file.exists()
        assert sorted(path.name for path in Machine(root).credentials.iterdir()) == [
            "becomingone.node_key",
            "becomingone.tls_key",
        ]
        assert "has joined as kitchen already" in run("join", "--root", str(root)).stdout
        assert "has joined as kitchen already" in join(root, server.url, token).stdout
        refused = join(tmp_path / "other", server.url, token, code=1)
        assert "was used already, with another key" in refused.stderr
        assert refused.stderr.count("becomingone: ") == 1
    log = (tmp_path / "log").read_text()
    assert "127.0.0.1 kitchen admitted: certificate" in log
    assert "127.0.0.1 kitchen refused, used: the token is bound to the key" in log
    assert token.split(".")[1] not in log
    assert joined(Machine(root)) == "kitchen"


def test_a_configuration_for_other_places_is_refused_before_anything_is_written(cell, served, tmp_path, capsys, mocker):
    path = cell.render("kitchen")
    path.write_text(path.read_text().replace("node.crt", "kitchen.crt"))
    token = cell.token()
    mocker.patch("becomingone.cli.provision.join_run._now", cell.clock)
    file = tmp_path / "token"
    file.write_text(token.text)
    words = ["join", "--token-file", file, "--url", f"https://{served.endpoint}", "--root", tmp_path / "node"]
    assert command(*words) == 2
    assert "broker.certificate: is /etc/becomingone/tls/kitchen.crt" in capsys.readouterr().err
    assert joined_as(tmp_path / "node") is None
    path.write_text(path.read_text().replace("kitchen.crt", "node.crt"))
    assert command(*words) == 0
    assert joined_as(tmp_path / "node") == "kitchen"


@pytest.mark.parametrize(
    ("content", "mode", "line"),
    [
        ("token: kitchen.abc\n", 0o600, "join.yaml: token: the token must have three parts"),
        ("url: http://attic\ntoken: a.b.c\n", 0o600, "join.yaml:1: url: must be https://HOST"),
        ("url: https://attic\n", 0o600, "join.yaml:1: token: is missing"),
        ("token: a.b.c\n", 0o644, "chmod 600"),
        ("token: [\n", 0o600, "join.yaml:"),
    ],
)
def test_a_join_file_that_is_wrong_is_told_and_its_token_is_not(tmp_path, capsys, content, mode, line):
    file = tmp_path / "join.yaml"
    file.touch(mode)
    file.chmod(mode)
    file.write_text(content)
    assert command("join", "--config", file, "--root", tmp_path) == 2
    told = capsys.readouterr().err
    assert line in told
    assert "kitchen.abc" not in told


def test_a_join_file_may_give_the_fingerprint_by_itself(tmp_path, cell):
    file = tmp_path / "join.yaml"
    file.touch(0o600)
    short = cell.token().text.rpartition(".")[0]
    file.write_text(f"url: mdns\ntoken: {short}\nfingerprint: {cell.authority.fingerprint}\n")
    assert read_join_file(file).join_token.trusts(bytes.fromhex(cell.authority.fingerprint))


def test_a_machine_that_has_nothing_to_join_with_is_told(tmp_path, capsys):
    assert command("join", "--root", tmp_path) == 2
    assert "has not joined: give --token-file FILE" in capsys.readouterr().err


def test_what_cannot_be_written_is_told_before_the_token_is_used(cell, served, tmp_path, mocker, capsys):
    file = tmp_path / "token"
    file.write_text(cell.token().text)
    refusal = ProvisioningError("/etc/credstore cannot be written: Permission denied; run this as root")
    mocker.patch("becomingone.provisioning.join.machine._place", side_effect=refusal)
    code = command("join", "--token-file", file, "--url", f"https://{served.endpoint}", "--root", tmp_path / "node")
    mocker.stopall()
    assert code == 1
    assert "run this as root" in capsys.readouterr().err
    assert cell.state() == "open"


def test_credentials_that_others_could_enter_are_closed(cell, served, tmp_path):
    folder = tmp_path / "node/etc/credstore"
    folder.mkdir(parents=True, mode=0o755)
    Joining(tmp_path / "node", cell.token(), served.endpoint).join.run()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_avahi_s_file_is_printed_and_nothing_is_served(folder, capsys):
    assert command("serve", "--avahi-service", "--cell-dir", folder) == 0
    assert "<type>_becomingone._tcp</type>" in capsys.readouterr().out


def test_a_port_that_is_taken_is_told(cell, folder, served, capsys):
    assert command("serve", "--cell-dir", folder, "--listen", f"127.0.0.1:{served.endpoint.port}", "--no-mdns") == 2
    assert (
        f"--listen: cannot listen on 127.0.0.1, port {served.endpoint.port}: Address already" in capsys.readouterr().err
    )
