"""Names: what somebody types is one member, or refused in one line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.broker.access import Identity
from becomingone.errors import ConfigError
from becomingone.provisioning.identities.subject import (
    LONGEST,
    Server,
    check_hosts,
    file_name,
    member,
    subject_of,
)

NAMES = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,53}\Z")
ROLES = st.sampled_from(["node", "operator", "observer", "relay", "witness"])
TAKEN = ("hub", "broker", "join")


@settings(max_examples=40)
@given(role=ROLES, name=NAMES)
def test_everybody_s_name_comes_back(role, name: str) -> None:
    if role == "node" and name in TAKEN:
        with pytest.raises(ConfigError, match="that name is"):
            member(role, name)
        return
    identity = member(role, name)
    assert subject_of(identity.id) == identity
    assert subject_of(file_name(identity)) == identity
    assert ":" not in file_name(identity)
    assert not file_name(identity).startswith(".")


@settings(max_examples=30)
@given(st.lists(st.tuples(ROLES, NAMES), min_size=2, max_size=2, unique=True))
def test_no_two_share_a_folder(two) -> None:
    folders = {file_name(Identity(role, name)) for role, name in two} | {file_name(Server("broker")), "hub"}
    expected = {Identity(role, name).id for role, name in two} | {"broker", "hub"}
    assert len(folders) == len(expected)


@settings(max_examples=60)
@given(st.text(max_size=80))
def test_any_text_is_somebody_or_refused_in_one_line(text: str) -> None:
    try:
        subject = subject_of(text)
    except ConfigError as refused:
        said = str(refused)
        assert "\n" not in said
    else:
        assert re.fullmatch(r"[a-z0-9:_-]{1,64}", subject.id)


@pytest.mark.parametrize(
    "text",
    ["", "Küche", "kitchen ", "operator:", "operator:änna", "operator:a.b", "king:anna", "node:kitchen", "hub:x",
     "../x", "a/b", "operator:a\n", "kitchen\x00", "#", "+", "-x", "a" * 64, f"operator:{'a' * 56}"],
)  # fmt: skip
def test_who_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        subject_of(text)


def test_the_longest_names_fit() -> None:
    assert len(member("operator", "a" * 55).id) == LONGEST
    assert len(member("node", "a" * 63).id) == 63


def test_servers_are_known_by_name() -> None:
    assert subject_of("broker") == Server("broker")
    assert subject_of("join") == Server("join")
    assert subject_of("hub") == Identity("hub", "hub")


def test_hosts_are_given_in_their_usual_form_each_once() -> None:
    hosts = ["Attic.Local", "attic.local", "192.0.2.10", "2001:DB8:0::10", "localhost", "xn--kche-0ra.local"]
    assert check_hosts(hosts) == ("attic.local", "192.0.2.10", "2001:db8::10", "localhost", "xn--kche-0ra.local")


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_any_host_is_one_or_refused_in_one_line(text: str) -> None:
    try:
        (host,) = check_hosts([text])
    except ConfigError as refused:
        said = str(refused)
        assert "\n" not in said
    else:
        assert re.fullmatch(r"[a-z0-9.:-]+", host)


@pytest.mark.parametrize("text", ["attic.local.", "-a.local", "a-.local", "a..b", "a_b", "1.2.3", "12", "fe80::1%eth0"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be a host name"):
        check_hosts([text])
