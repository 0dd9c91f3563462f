"""A machine joins, over real sockets and real TLS."""

import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from becomingone.config.loader import load
from becomingone.errors import ConfigError, ProvisioningError
from becomingone.node.config import NodeConfig
from becomingone.provisioning.identities.cell_folder import create_cell
from becomingone.provisioning.identities.subject import Server
from becomingone.provisioning.join.joining import joined
from becomingone.provisioning.join.token import JoinToken, key_code

from .cell import NOON, Cell, Clock, Joining, serving


def joining(tmp_path, token, served, **settings):
    return Joining(tmp_path / "node", token, served.endpoint, **settings)


def test_a_machine_with_a_token_becomes_its_node(cell, served, tmp_path):
    one = joining(tmp_path, cell.token(), served)
    certificate = one.join.run()
    one.machine.forget_token(None)
    assert cell.certificates() == [served.cell.record().key]
    modes = {
        str(path.relative_to(tmp_path / "node")): path.stat().st_mode & 0o777
        for path in sorted((tmp_path / "node").rglob("*"))
        if path.is_file()
    }
    assert modes == {
        "etc/becomingone/joined": 0o600,
        "etc/becomingone/node.yaml": 0o644,
        "etc/becomingone/tls/ca.crt": 0o644,
        "etc/becomingone/tls/node.crt": 0o644,
        "etc/credstore/becomingone.node_key": 0o600,
        "etc/credstore/becomingone.tls_key": 0o600,
    }
    assert one.machine.credentials.stat().st_mode & 0o777 == 0o700
    assert joined(one.machine) == "kitchen"
    assert one.machine.certificate.read_bytes() == cell.authority.issued()[-1].pem
    assert certificate == x509.load_pem_x509_certificate(one.machine.certificate.read_bytes())
    config = load(
        NodeConfig, one.machine.config, environ={"BECOMINGONE_SECRET_NODE_KEY": one.machine.node_key.read_text()}
    )
    assert config.node == "kitchen"
    assert config.security.hub_public_key == cell.secrets.hub_public_key.hex()
    assert one.told == [f"the key of this machine: {key_code(cell.record().key)}"]


def test_it_waits_for_the_operator_and_shows_the_same_digits(cell, served, tmp_path):
    one = joining(tmp_path, cell.token(approve=True), served)
    one.on_sleep = lambda: cell.set_state("granted") if len(one.slept) == 3 else None
    one.join.run()
    assert one.told == [
        f"the key of this machine: {key_code(cell.record().key)}",
        "waiting for an operator: becomingone provision approve kitchen",
    ]
    assert one.slept == [10.0, 10.0, 10.0]
    assert joined(one.machine) == "kitchen"


def test_it_gives_up_after_its_time_and_goes_on_later_with_the_same_key(cell, served, tmp_path):
    token = cell.token(approve=True)
    one = joining(tmp_path, token, served)
    with pytest.raises(ProvisioningError, match="not joined within 300 s: waiting for an operator"):
        one.join.run()
    cell.set_state("granted")
    again = joining(tmp_path, token, served)
    again.join.run()
    assert again.told[0] == one.told[0]
    assert len(cell.certificates()) == 1


def test_an_answer_that_is_lost_is_given_again(cell, served, tmp_path, mocker):
    token = cell.token()
    one = joining(tmp_path, token, served)
    mocker.patch.object(one.machine.__class__, "install", side_effect=ProvisioningError("the disk is full"))
    with pytest.raises(ProvisioningError):
        one.join.run()
    mocker.stopall()
    assert joined(one.machine) is None
    joining(tmp_path, token, served).join.run()
    assert joined(one.machine) == "kitchen"
    assert len(cell.certificates()) == 1


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda cell: cell.token(), "knows no such token for kitchen"),
        (lambda cell: cell.set_state("denied"), "an operator has denied the token for kitchen"),
        (lambda cell: setattr(cell.clock, "time", NOON + timedelta(hours=2)), "the token for kitchen has expired"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do_and_leaves_no_identity(cell, served, tmp_path, spoil, line):
    token = cell.token()
    spoil(cell)
    one = joining(tmp_path, token, served)
    with pytest.raises(ProvisioningError, match=line) as refused:
        one.join.run()
    assert "\n" not in str(refused.value)
    assert joined(one.machine) is None
    assert not one.machine.config.exists()
    assert cell.certificates() == []


def test_a_token_that_was_used_with_another_key_is_refused(cell, served, tmp_path):
    token = cell.token()
    Joining(tmp_path / "first", token, served.endpoint).join.run()
    with pytest.raises(ProvisioningError, match=r"used already, with another key.*provision revoke kitchen"):
        Joining(tmp_path / "second", token, served.endpoint).join.run()
    assert len(cell.certificates()) == 1


def test_of_two_racers_with_one_token_exactly_one_wins(cell, served, tmp_path):
    for turn in range(4):
        token = cell.token()
        before = len(cell.certificates())
        racers = [Joining(tmp_path / f"{turn}-{number}", token, served.endpoint) for number in range(4)]
        start = threading.Barrier(len(racers))
        outcomes = []

        def race(racer, start=start, outcomes=outcomes):
            start.wait(10)
            try:
                racer.join.run()
                outcomes.append("joined")
            except ProvisioningError as error:
                outcomes.append("used" if "used already" in str(error) else str(error))

        threads = [threading.Thread(target=race, args=[racer]) for racer in racers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(outcomes) == ["joined", "used", "used", "used"]
        assert [joined(racer.machine) for racer in racers].count("kitchen") == 1
        assert len(cell.certificates()) == before + 1


def test_another_cell_is_recognised_before_anything_is_sent(cell, tmp_path):
    stranger = Cell(tmp_path / "stranger")
    token = cell.token()
    with serving(stranger) as served:
        one = joining(tmp_path, token, served)
        with pytest.raises(ProvisioningError, match=r"not your cell, or somebody is in between.*nothing was sent"):
            one.join.run()
    assert not stranger.tokens.path.exists()
    assert one.slept == []


def test_who_shows_the_true_authority_and_has_none_of_its_keys_gets_no_token(cell, tmp_path):
    """The authority's certificate is public: a man in the middle can show it, and then must prove to be its server."""
    stranger = Cell(tmp_path / "stranger")
    with serving(stranger) as served:
        served.server._authority_pem = cell.authority.certificate_pem
        one = joining(tmp_path, cell.token(), served)
        with pytest.raises(ProvisioningError, match=r"not the enrolment server of your cell.*nothing was sent"):
            one.join.run()


def test_the_broker_of_the_cell_cannot_pass_for_its_enrolment_server(cell, tmp_path, mocker):
    mocker.patch("becomingone.provisioning.join.tls._SERVER", Server("broker"))
    mocker.patch("becomingone.provisioning.join.tls.SERVER_NAME", "attic.local")
    with serving(cell) as served:
        one = joining(tmp_path, cell.token(), served)
        with pytest.raises(ProvisioningError, match=r"not the enrolment server of your cell.*nothing was sent"):
            one.join.run()
    assert cell.state() == "open"


@pytest.mark.parametrize("now", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2023, 5, 3, tzinfo=UTC)])
def test_a_clock_that_is_behind_is_no_hindrance_and_is_told(cell, served, tmp_path, now):
    one = joining(tmp_path, cell.token(), served, clock=Clock(now))
    one.join.run()
    assert joined(one.machine) == "kitchen"
    assert f"the clock of this machine says {now:%Y-%m-%d}" in one.told[-1]


def test_a_clock_that_is_ahead_of_the_server_s_certificate_is_told(cell, served, tmp_path):
    one = joining(tmp_path, cell.token(), served, clock=Clock(NOON + timedelta(days=400)))
    with pytest.raises(ProvisioningError, match=r"ended on 2027-06-01, if the clock .* 2027-07-06 12:00 UTC, is right"):
        one.join.run()
    assert cell.state() == "open"


def test_a_configuration_that_the_machine_could_not_use_is_refused_whole(cell, served, tmp_path):
    def check(_config):
        raise ConfigError("node.yaml:3: inputs[0].kind: no such device")

    one = joining(tmp_path, cell.token(), served, check=check)
    with pytest.raises(ConfigError, match="no such device"):
        one.join.run()
    assert joined(one.machine) is None
    assert not one.machine.config.exists()


def test_after_a_power_cut_at_any_write_the_join_goes_on_and_ends_the_same(cell, served, tmp_path, mocker):
    """Every rename is a place for a power cut: after each number of them the join is done again, to its end."""
    rename = os.replace

    class PowerCut(BaseException):
        pass

    for survived in range(7):
        token, root = cell.token(), tmp_path / f"node{survived}"
        before = len(cell.certificates())
        one = Joining(root, token, served.endpoint)
        left = [survived]

        def cut(source, target, left=left, root=root):
            if root in type(root)(target).parents:
                if left[0] == 0:
                    raise PowerCut
                left[0] -= 1
            rename(source, target)

        mocker.patch("os.replace", cut)
        mocker.patch("pathlib.os.replace", cut)
        with pytest.raises(PowerCut):
            one.join.run()
        mocker.stopall()
        again = Joining(root, token, served.endpoint)
        again.join.run()
        again.machine.forget_token(None)
        assert joined(again.machine) == "kitchen"
        assert sorted(path.name for path in again.machine.credentials.iterdir()) == [
            "becomingone.node_key",
            "becomingone.tls_key",
        ]
        assert len(cell.certificates()) == before + 1


def test_a_new_token_means_a_new_key(cell, served, tmp_path):
    first = joining(tmp_path, cell.token(approve=True), served)
    with pytest.raises(ProvisioningError, match="not joined"):
        first.join.run()
    second = joining(tmp_path, cell.token(), served)
    second.join.run()
    second.machine.forget_token(None)
    assert first.told[0] != second.told[0]
    assert not list(second.machine.credentials.glob("becomingone.joining-*"))


def test_the_wrong_cell_s_certificate_is_no_member_s(cell, tmp_path, mocker, served):
    """A server of the right cell that is broken, or lies, cannot make the node take another's certificate."""
    other = create_cell(tmp_path / "other", "home", now=cell.clock)
    mocker.patch.object(cell.authority, "sign_request", other.sign_request)
    mocker.patch.object(cell.authority, "issued", other.issued)
    one = joining(tmp_path, cell.token(), served)
    with pytest.raises(ProvisioningError, match="that its own authority has not signed"):
        one.join.run()
    assert not one.machine.config.exists()


def test_the_token_of_a_joined_machine_is_in_no_file(cell, served, tmp_path):
    token = cell.token()
    one = joining(tmp_path, token, served)
    one.join.run()
    one.machine.forget_token(None)
    text = JoinToken.read(token.text).text.split(".")[1].encode()
    for path in [*(tmp_path / "node").rglob("*"), *cell.folder.rglob("*")]:
        if path.is_file():
            content = path.read_bytes()
            assert text not in content
            assert token.secret not in content
