"""What comes as JSON or as plain text: states and descriptions."""

from __future__ import annotations

from collections.abc import Callable

from becomingone.hub import claim
from becomingone.wire import announce, operate, remote

from . import seeds
from .targets import equal, target


def announcements(
    model: type[announce.Announcement], examples: Callable[[], list[bytes]], share: int = 8
) -> Callable[[Callable[[bytes], None]], None]:
    """Enter a model into the registry."""

    def read(data: bytes) -> object:
        return announce.parse_announcement(model, data)

    return target("json", examples, share, parse_announcement=read)


def announced(model: type[announce.Announcement], data: bytes) -> None:
    """Read an announcement, write it, and read it again."""
    found = announce.parse_announcement(model, data)
    written = found.model_dump_json().encode()
    equal(announce.parse_announcement(model, written), found)


@announcements(announce.About, lambda: seeds.texts(seeds.ABOUT))
def about(data: bytes) -> None:
    """A node's self-description."""
    announced(announce.About, data)


@announcements(announce.Health, lambda: seeds.texts(seeds.HEALTH))
def health(data: bytes) -> None:
    """A node's vital figures."""
    announced(announce.Health, data)


@announcements(announce.OutputState, lambda: seeds.texts(seeds.OUTPUT_STATE))
def output_state(data: bytes) -> None:
    """What an output does."""
    announced(announce.OutputState, data)


@announcements(remote.Reply, lambda: seeds.remote("reply"))
def reply(data: bytes) -> None:
    """What became of a command."""
    announced(remote.Reply, data)


@announcements(remote.Desired, lambda: seeds.remote("desired"), 2)
def desired(data: bytes) -> None:
    """The configuration that a node should have."""
    announced(remote.Desired, data)


@announcements(remote.Request, lambda: seeds.remote("request"))
def request(data: bytes) -> None:
    """What somebody would like an output to do."""
    announced(remote.Request, data)


@target("json", lambda: [*seeds.remote("operation"), b""], 8, parse_operation=operate.parse_operation)
def operation(data: bytes) -> None:
    """What an operator would like a node to do."""
    found = operate.parse_operation(data)
    equal(operate.parse_operation(found.model_dump_json().encode()), found)


@announcements(operate.Outcome, lambda: seeds.remote("outcome"))
def outcome(data: bytes) -> None:
    """What became of that."""
    announced(operate.Outcome, data)


@announcements(claim.HubAbout, lambda: seeds.texts(seeds.HUB_ABOUT))
def hub_about(data: bytes) -> None:
    """What a hub says of itself."""
    announced(claim.HubAbout, data)


@announcements(remote.Answer, lambda: seeds.remote("answer"))
def answer(data: bytes) -> None:
    """What became of a request to an output."""
    announced(remote.Answer, data)


@target(
    "text",
    lambda: [*(str(state).encode() for state in announce.State), b"", b"READY"],
    1,
    parse_state=announce.parse_state,
)
def state(data: bytes) -> None:
    """One of five words."""
    found = announce.parse_state(data)
    equal(str(found).encode(), data)
