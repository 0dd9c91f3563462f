import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.errors import ConfigError
from becomingone.provisioning.join.token import JoinToken, grouped, key_code

FINGERPRINT = "ab" * 32
SECRET = bytes(range(20))


def made(node="kitchen"):
    return JoinToken.make(node, FINGERPRINT, lambda count: SECRET[:count])


def test_a_token_is_one_text_of_three_parts():
    # base64.b32encode(bytes(range(20))) and of 20 times 0xab, in groups
    assert made().text == ("kitchen.aaaq-eaye-auda-ocaj-bifq-ydio-b4ib-ceqt.vov2-xk5l-vov2-xk5l-vov2-xk5l-vov2-xk5l")


@given(st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32))
def test_what_is_written_is_read_however_it_is_typed(secret, fingerprint):
    token = JoinToken.make("node-1_a", fingerprint.hex(), lambda _: secret)
    node, middle, last = token.text.split(".")
    typed = ".".join((node, middle.upper().replace("-", " "), last.replace("-", "").replace("o", "0")))
    for text in (token.text, f"  {token.text}\n", typed):
        read = JoinToken.read(text)
        assert (read.node, read.secret, read.digest) == (token.node, secret, token.digest)
        assert read.trusts(fingerprint)


def test_the_fingerprint_may_stand_beside_it_and_in_full():
    node, secret, _ = made().text.split(".")
    for text, beside in (
        (f"{node}.{secret}", FINGERPRINT),
        (f"{node}.{secret}.{FINGERPRINT}", ""),
        (made().text, FINGERPRINT),
    ):
        assert JoinToken.read(text, fingerprint=beside).trusts(bytes.fromhex(FINGERPRINT))


def test_another_fingerprint_is_not_trusted_nor_the_beginning_of_one():
    token = made()
    assert not token.trusts(bytes.fromhex("ac" + FINGERPRINT[2:]))
    assert not token.trusts(bytes.fromhex(FINGERPRINT)[:19])
    assert not token.trusts(b"")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "three parts"),
        ("kitchen", "three parts"),
        ("kitchen.abc", "three parts"),
        ("a.b.c.d", "three parts"),
        ("Kitchen.{secret}.{print}", "'Kitchen' must be"),
        ("hub.{secret}.{print}", "the hub cannot join"),
        ("kitchen.{secret}a.{print}", "second part must be 32"),
        ("kitchen.{short}.{print}", "second part must be 32"),
        ("kitchen.!{short}.{print}", "second part must be 32"),
        ("kitchen.{secret}.", "third part"),
    ],
)
def test_what_is_no_token_is_refused_and_not_shown(text, what):
    secret = grouped(SECRET)
    with pytest.raises(ConfigError, match=what) as refused:
        JoinToken.read(text.format(secret=secret, short=secret[:-1], print=grouped(SECRET)))
    assert secret[:9] not in str(refused.value)


def test_two_fingerprints_that_differ_are_refused():
    with pytest.raises(ConfigError, match="two authorities"):
        JoinToken.read(made().text, fingerprint="cd" * 32)


def test_neither_its_secret_nor_its_hash_is_in_what_a_log_would_show():
    assert grouped(SECRET) not in repr(made())
    assert repr(SECRET) not in repr(made())


def test_the_digits_of_a_key_are_25_and_any_key_has_others():
    codes = {key_code(f"{number:064x}") for number in range(1000)}
    assert len(codes) == 1000
    assert key_code("0" * 64) == "00000 00000 00000 00000 00000"
    assert key_code("f" * 64) == f"{(2**256 - 1) % 10**25:025d}"[:5] + " " + " ".join(
        f"{(2**256 - 1) % 10**25:025d}"[start : start + 5] for start in range(5, 25, 5)
    )
