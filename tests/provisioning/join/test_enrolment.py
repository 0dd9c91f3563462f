"""Who is let in, decided without a network."""

import json
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from becomingone.broker.access import Identity
from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.join.messages import Admission, Refused, Waiting
from becomingone.provisioning.join.token import JoinToken, key_code
from becomingone.wire.seal import node_key

from .cell import NOON, request


def refusal(attempt):
    assert isinstance(attempt.outcome, Refused), attempt
    return attempt.outcome.refused


@pytest.fixture
def key():
    return ec.generate_private_key(ec.SECP256R1())


def test_a_token_is_worth_a_certificate_and_the_node_s_share(cell, key):
    token = cell.token()
    attempt = cell.enrolment().ask(request(token, key=key), "192.0.2.7")
    given = attempt.outcome
    assert isinstance(given, Admission)
    certificate = x509.load_pem_x509_certificate(given.certificate.encode())
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=kitchen,OU=node"
    assert given.authority.encode() == cell.authority.certificate_pem
    expected = node_key(cell.secrets.secret, "becomingone", "home", "kitchen")
    assert given.node_key.get_secret_value() == expected.hex()
    assert given.hub_public_key == cell.secrets.hub_public_key.hex()
    assert "node: kitchen" in given.config
    assert cell.state() == "used"
    assert len(cell.certificates()) == 1


def test_each_certificate_has_a_line_that_names_it_and_no_secret(cell, key):
    token = cell.token(approve=False)
    cell.enrolment().ask(request(token, key=key), "192.0.2.7")
    (line,) = cell.audit.read_text().splitlines()
    (issued,) = [one for one in cell.authority.issued() if one.identity == "kitchen"]
    assert json.loads(line) == {
        "at": "2026-06-01T12:00:00+00:00",
        "node": "kitchen",
        "serial": f"{issued.serial:040x}",
        "key": key_code(issued.key_sha256),
        "address": "192.0.2.7",
        "approved": False,
        "token_made": "2026-06-01T12:00:00+00:00",
    }
    assert cell.audit.stat().st_mode & 0o777 == 0o600


def test_the_same_key_gets_the_same_certificate_again_and_another_never(cell, key):
    token, enrolment = cell.token(), cell.enrolment()
    first = enrolment.ask(request(token, key=key), "192.0.2.7")
    again = cell.enrolment().ask(request(token, key=key), "192.0.2.8")
    assert again.outcome == first.outcome
    assert refusal(enrolment.ask(request(token), "192.0.2.7")) == "used"
    assert len(cell.certificates()) == 1
    assert len(cell.audit.read_text().splitlines()) == 1


def test_a_node_that_joins_leaves_no_older_key_in_the_cell_folder(cell, key):
    members = Members(cell.authority)
    kitchen = Identity("node", "kitchen")
    members.make(kitchen)
    cell.enrolment().ask(request(cell.token(), key=key), "192.0.2.7")
    assert not members.folder(kitchen).exists()
    assert members.renew(kitchen).public_key() == key.public_key()


def test_a_wrong_token_and_a_node_without_one_sound_alike(cell):
    cell.token()
    enrolment = cell.enrolment()
    wrong = JoinToken("kitchen", bytes(20), bytes(20))
    other = JoinToken("porch", bytes(20), bytes(20))
    nobody = JoinToken("attic", bytes(20), bytes(20))
    answers = [enrolment.ask(request(token), "192.0.2.7").outcome for token in (wrong, other, nobody)]
    assert answers == [Refused(refused="unknown")] * 3
    assert cell.state() == "open"


def test_what_is_no_token_at_all_is_unknown(cell):
    token = cell.token()
    asked = request(token)
    for text in ("", "x", "é" * 50, "a" * 100, f"{asked.token.get_secret_value()}a"):
        odd = asked.model_copy(update={"token": type(asked.token)(text)})
        assert refusal(cell.enrolment().ask(odd, "192.0.2.7")) == "unknown"


def test_a_token_of_another_node_is_worth_nothing(cell):
    token = cell.token("kitchen")
    cell.token("porch")
    attempt = cell.enrolment().ask(request(token, node="porch"), "192.0.2.7")
    assert refusal(attempt) == "unknown"
    assert cell.state("porch") == cell.state("kitchen") == "open"


def test_a_request_that_names_another_is_refused_and_uses_nothing_up(cell, key):
    token, enrolment = cell.token(), cell.enrolment()
    attempt = enrolment.ask(request(token, named="porch"), "192.0.2.7")
    assert refusal(attempt) == "malformed"
    assert "names another than kitchen" in attempt.reason
    assert cell.state() == "open"
    assert isinstance(enrolment.ask(request(token, key=key), "192.0.2.7").outcome, Admission)


def test_a_key_of_another_kind_and_a_damaged_request_use_nothing_up(cell):
    token, enrolment = cell.token(), cell.enrolment()
    good = request(token)
    body = good.csr.split("\n")
    broken = "\n".join([body[0], body[1][::-1], *body[2:]])
    other = request(token, key=ec.generate_private_key(ec.SECP384R1())).csr
    for csr in (broken, other, body[0] + "\n", good.csr.replace("A", "é", 1)):
        attempt = enrolment.ask(good.model_copy(update={"csr": csr}), "192.0.2.7")
        assert refusal(attempt) == "malformed"
    assert cell.state() == "open"


def test_a_token_ends_at_its_time_for_everybody(cell, key):
    token, enrolment = cell.token(valid=timedelta(minutes=30)), cell.enrolment()
    cell.clock.time = NOON + timedelta(minutes=29, seconds=59)
    assert isinstance(enrolment.ask(request(token, key=key), "192.0.2.7").outcome, Admission)
    cell.clock.time = NOON + timedelta(minutes=30)
    assert refusal(enrolment.ask(request(token, key=key), "192.0.2.7")) == "expired"
    assert refusal(enrolment.ask(request(token), "192.0.2.7")) == "expired"
    assert len(cell.certificates()) == 1


def test_a_new_token_makes_the_old_one_void(cell):
    old, _ = cell.token(), cell.token()
    assert refusal(cell.enrolment().ask(request(old), "192.0.2.7")) == "unknown"


def test_an_operator_decides_about_the_key_that_came_first(cell, key):
    token, enrolment = cell.token(approve=True), cell.enrolment()
    asked = request(token, key=key)
    for _ in range(3):
        assert isinstance(enrolment.ask(asked, "192.0.2.7").outcome, Waiting)
    assert refusal(enrolment.ask(request(token), "192.0.2.66")) == "used"
    record = cell.record()
    assert (record.state, record.address) == ("waiting", "192.0.2.7")
    assert cell.certificates() == []
    cell.set_state("granted")
    assert isinstance(enrolment.ask(asked, "192.0.2.7").outcome, Admission)
    assert cell.certificates() == [record.key]
    assert json.loads(cell.audit.read_text())["approved"] is True


def test_who_is_denied_is_told_and_gets_nothing(cell, key):
    token, enrolment = cell.token(approve=True), cell.enrolment()
    enrolment.ask(request(token, key=key), "192.0.2.7")
    cell.set_state("denied")
    assert refusal(enrolment.ask(request(token, key=key), "192.0.2.7")) == "denied"
    assert refusal(enrolment.ask(request(token), "192.0.2.7")) == "denied"
    assert cell.certificates() == []


def test_a_certificate_that_was_revoked_is_not_given_again(cell, key):
    token, enrolment = cell.token(), cell.enrolment()
    enrolment.ask(request(token, key=key), "192.0.2.7")
    (issued,) = [one for one in cell.authority.issued() if one.identity == "kitchen"]
    cell.authority.revoke(issued.serial)
    assert refusal(enrolment.ask(request(token, key=key), "192.0.2.7")) == "denied"
    assert len(cell.certificates()) == 1


@pytest.mark.parametrize("what", ["missing", "another node's", "older than the keys", "no YAML"])
def test_a_node_whose_configuration_is_not_fit_keeps_its_token(cell, key, what):
    token, enrolment = cell.token(), cell.enrolment()
    path = cell.render("kitchen")
    whole = path.read_text()
    spoilt = {
        "missing": None,
        "another node's": whole.replace("node: kitchen", "node: porch"),
        "older than the keys": whole.replace(cell.secrets.hub_public_key.hex(), "0" * 64),
        "no YAML": "a: [",
    }[what]
    if spoilt is None:
        path.unlink()
    else:
        path.write_text(spoilt)
    attempt = enrolment.ask(request(token, key=key), "192.0.2.7")
    assert refusal(attempt) == "unavailable"
    assert "becomingone provision render" in attempt.reason
    assert cell.state() == "open"
    cell.render("kitchen")
    assert isinstance(enrolment.ask(request(token, key=key), "192.0.2.7").outcome, Admission)


STEPS = ("bound", "signed", "recorded", "audited")


@pytest.mark.parametrize("step", STEPS)
def test_after_a_crash_at_any_step_the_same_key_gets_one_certificate_and_no_other_key_any(cell, key, mocker, step):
    """What a crash leaves is what was on the disk: the step after it raises, and the enrolment is made anew."""

    class Crash(BaseException):
        pass

    token, enrolment = cell.token(), cell.enrolment()
    authority = cell.authority
    if step == "bound":
        mocker.patch.object(authority, "sign_request", side_effect=Crash)
    elif step == "signed":
        whole = authority.sign_request
        mocker.patch.object(authority, "sign_request", side_effect=lambda *a, **k: (whole(*a, **k), raise_(Crash)))
    elif step == "recorded":
        mocker.patch.object(enrolment, "_write_audit", side_effect=Crash)
    else:
        audit = enrolment._write_audit
        mocker.patch.object(enrolment, "_write_audit", side_effect=lambda *a: (audit(*a), raise_(Crash)))
    with pytest.raises(Crash):
        enrolment.ask(request(token, key=key), "192.0.2.7")
    mocker.stopall()
    assert cell.state() == "granted"
    after = cell.enrolment()
    assert refusal(after.ask(request(token), "192.0.2.66")) == "used"
    first = after.ask(request(token, key=key), "192.0.2.7").outcome
    assert isinstance(first, Admission)
    assert after.ask(request(token, key=key), "192.0.2.7").outcome == first
    assert len(cell.certificates()) == 1
    assert cell.state() == "used"
    assert len(cell.audit.read_text().splitlines()) in (1, 2)


def raise_(error):
    raise error


@pytest.mark.parametrize(
    "error", [ProvisioningError("the disk is full"), ConfigError("the clock is wrong"), OSError(5)]
)
def test_what_the_authority_cannot_do_now_it_can_do_later(cell, key, mocker, error):
    token, enrolment = cell.token(), cell.enrolment()
    mocker.patch.object(cell.authority, "sign_request", side_effect=error)
    attempt = enrolment.ask(request(token, key=key), "192.0.2.7")
    assert refusal(attempt) == "unavailable"
    mocker.stopall()
    assert isinstance(enrolment.ask(request(token, key=key), "192.0.2.7").outcome, Admission)
