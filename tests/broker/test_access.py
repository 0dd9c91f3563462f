"""The access rules as values and as text; what Mosquitto makes of them is in `test_access_proof.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from becomingone.broker.access import TABLE, Identity, access_list, rules, table
from becomingone.errors import TopicError
from becomingone.wire.topics import Topics, check_filter

HOME = Topics("becomingone", "home")


def granted(text: str, user: str) -> set[str]:
    """The rules of one user, as they stand in the file."""
    block = text.partition(f"\nuser {user}\n")[2].partition("\n\n")[0]
    return set(block.splitlines())


def test_each_member_has_a_block_of_its_own() -> None:
    text = access_list([Identity("hub", "hub"), Identity("node", "kitchen"), Identity("node", "desk")], HOME)
    kitchen, desk = granted(text, "kitchen"), granted(text, "desk")
    assert "topic write becomingone/home/node/kitchen/state" in kitchen
    assert {rule.replace("kitchen", "desk") for rule in kitchen} == desk
    assert not any("desk" in rule for rule in kitchen)
    assert "pattern" not in text
    assert "readwrite" not in text


def test_a_node_is_granted_nothing_that_only_the_hub_may_say() -> None:
    written = {topic for access, topic in rules("node", HOME, "kitchen") if access == "write"}
    assert not any(topic.endswith(("/set", "/desired", "#")) or "/cmd/" in topic for topic in written)


def test_two_spellings_of_one_name_have_the_same_rights() -> None:
    anna = Identity("operator", "anna")
    assert anna.user_names == ("operator:anna", "operator.anna")
    text = access_list([anna], HOME)
    assert granted(text, "operator:anna") == granted(text, "operator.anna") != set()
    assert Identity("node", "kitchen").user_names == ("kitchen",)


@pytest.mark.parametrize("name", ["a\nuser hub", "a b", "#", "+", "%u", "operator:anna", "a/b", "", "x" * 64, "Kitch"])
def test_a_name_that_would_change_a_rule_is_refused(name: str) -> None:
    with pytest.raises(TopicError, match="the name of a node"):
        Identity("node", name)


def test_whoever_is_let_in_may_be_a_node_by_patterns_alone() -> None:
    text = access_list([Identity("hub", "hub")], HOME, any_node=True)
    patterns = {line.removeprefix("pattern ") for line in text.splitlines() if line.startswith("pattern ")}
    assert patterns == {f"{access} {topic}" for access, topic in rules("node", HOME, "%u")}
    assert "write becomingone/home/node/%u/phase/+/+" in patterns


def test_nobody_has_rights_without_a_name_unless_told_so() -> None:
    members = [Identity("hub", "hub")]
    before_anybody = access_list(members, HOME).partition("user ")[0]
    assert not any(line.startswith("topic") for line in before_anybody.splitlines())
    everybody = access_list(members, HOME, anonymous=True).partition("user ")[0]
    assert "topic readwrite #" in everybody


def test_a_hub_with_a_parent_writes_its_aggregate_under_the_parent_s_topic() -> None:
    hub = Identity("hub", "hub")
    alone = granted(access_list([hub], HOME), "hub")
    with_parents = granted(access_list([hub], HOME, parents=["becomingone/house", "x/y"]), "hub")
    assert with_parents - alone == {
        "topic write becomingone/house/cell/home/aggregate",
        "topic read becomingone/house/sync/+",
        "topic write x/y/cell/home/aggregate",
        "topic read x/y/sync/+",
    }
    assert alone < with_parents


def test_the_discovery_topics_may_have_another_name() -> None:
    text = access_list([Identity("hub", "hub"), Identity("operator", "ha")], HOME, discovery="ha")
    assert "homeassistant" not in text
    assert "topic write ha/status" in granted(text, "operator:ha")


def test_every_rule_is_a_filter_that_mqtt_allows() -> None:
    for role in TABLE:
        for _, topic in rules(role, HOME, "kitchen", parents=["becomingone/house"]):
            assert check_filter(topic) == topic
            assert "{" not in topic


def test_the_table_of_the_manual_names_every_role_and_topic() -> None:
    text = table()
    assert len(text.splitlines()) == 2 + len(TABLE)
    for role, rights in TABLE.items():
        line = next(line for line in text.splitlines() if line.startswith(f"| **{role}**"))
        assert line.count("`") == 2 * len(rights.writes + rights.reads)


def test_the_manual_s_table_is_this_one() -> None:
    assert table() in (Path(__file__).parents[2] / "docs" / "brokers.md").read_text()
