"""The arguments of how a node that has only a token becomes a member: token, serve, approve, join."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from becomingone.cli.arguments import seconds
from becomingone.cli.provision.passphrase import add_passphrase

if TYPE_CHECKING:
    from becomingone.cli.provision import Commands, Handlers

_UNITS: Final = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST_S: Final = 30 * 86_400.0


def add(group: Commands, common: argparse.ArgumentParser, handler: Handlers) -> None:
    """Add the commands."""
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--cell-dir", type=Path, default=Path(), metavar="DIR", help="the cell's folder (default: this one)"
    )
    json = argparse.ArgumentParser(add_help=False)
    json.add_argument("--json", action="store_true", help="print one JSON object")
    _add_token(group, [common, place, json], handler)
    _add_approve(group, [common, place, json], handler)
    _add_serve(group, [common, place], handler)
    _add_join(group, [common, json], handler)


def _add_token(group: Commands, parents: list[argparse.ArgumentParser], handler: Handlers) -> None:
    token = group.add_parser(
        "token",
        parents=parents,
        help="make a token by which one machine may become a node, once",
        description="Prints NODE.TOKEN.FINGERPRINT, to be typed on the machine or put on its card. It is stored hashed "
        "and is shown this once. A node's earlier token is void from then on.",
    )
    token.set_defaults(run=handler("provision.join_tokens", "make_token"))
    token.add_argument("node", metavar="NODE", help="the id that the machine is to have")
    token.add_argument(
        "--valid", type=_validity, default=86_400.0, metavar="TIME", help="30m, 24h, 7d: at most 30d (default: 24h)"
    )
    token.add_argument("--approve", action="store_true", help="an operator must approve the machine's key as well")


def _add_approve(group: Commands, parents: list[argparse.ArgumentParser], handler: Handlers) -> None:
    approve = group.add_parser(
        "approve",
        parents=parents,
        help="let a waiting machine in, or not; show who waits",
        description="Without NODE: lists all tokens. With NODE: shows the digits of the key that waits, which the "
        "machine shows as well, and asks whether they are the same.",
    )
    approve.set_defaults(run=handler("provision.join_tokens", "approve"))
    approve.add_argument("node", metavar="NODE", nargs="?", help="whom to approve")
    what = approve.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list all tokens, as without NODE")
    what.add_argument("--deny", metavar="NODE", help="void a node's token, whether or not somebody waits with it")
    what.add_argument("--code", metavar="DIGITS", help="approve this key and no other; asks nothing")
    what.add_argument("--yes", action="store_true", help="approve whichever key waits; asks nothing")


def _add_serve(group: Commands, parents: list[argparse.ArgumentParser], handler: Handlers) -> None:
    serve = group.add_parser(
        "serve",
        parents=parents,
        help="let machines with a token in, until stopped",
        description="The enrolment server: HTTPS, found by mDNS. It needs the authority's key, so it runs where the "
        "cell's folder is, as a user of its own, and no longer than machines are to join.",
    )
    serve.set_defaults(run=handler("provision.join_serve", "serve"))
    add_passphrase(serve)
    serve.add_argument(
        "--listen", type=_address, default=("", 8899), metavar="ADDRESS[:PORT]", help="default: everywhere, port 8899"
    )
    serve.add_argument("--days", type=_days, default=365, metavar="N", help="how long certificates hold (default: 365)")
    serve.add_argument("--no-mdns", action="store_true", help="announce nothing: nodes are given the address")
    serve.add_argument(
        "--avahi-service", action="store_true", help="print the service file for avahi-daemon, and serve nothing"
    )
    serve.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")


def _add_join(group: Commands, parents: list[argparse.ArgumentParser], handler: Handlers) -> None:
    join = group.add_parser(
        "join",
        parents=parents,
        help="become a node of a cell, with a token; on the machine itself, as root",
        description="Makes this machine's key, which never leaves it, has it signed by the cell's enrolment server, "
        "and writes /etc/becomingone and /etc/credstore. Done again, it goes on where it was cut off.",
    )
    join.set_defaults(run=handler("provision.join_run", "join"))
    join.add_argument("--config", type=Path, metavar="FILE", help="default: /etc/becomingone/join.yaml")
    join.add_argument("--token-file", type=Path, metavar="FILE", help="holds the token; -: standard input")
    join.add_argument(
        "--token", metavar="TOKEN", help="the token itself: others on this machine can read it meanwhile (ps)"
    )
    join.add_argument("--url", metavar="URL", help="https://HOST[:PORT] of the enrolment server (default: by mDNS)")
    join.add_argument(
        "--wait", type=seconds, default=900.0, metavar="S", help="s after which it gives up (default: 900)"
    )
    join.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="write below DIR, not /")


def _validity(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([mhd])", text)
    value = int(found[1]) * _UNITS[found[2]] if found else 0.0
    if 0 < value <= _LONGEST_S:
        return value
    msg = f"must be a time such as 30m, 24h or 7d, at most 30d, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _address(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\[\]]*))(?::(?P<port>\d{1,5}))?", text)
    if found and int(found["port"] or 0) <= 65_535:
        return found["six"] or found["host"] or "", int(8899 if found["port"] is None else found["port"])
    msg = f"must be ADDRESS, ADDRESS:PORT or [IPv6]:PORT, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _days(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 3650:
        return int(text)
    msg = f"must be a number of days, 1..3650, not {text!r}"
    raise argparse.ArgumentTypeError(msg)
