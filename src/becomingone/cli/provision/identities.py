"""The arguments of the authority, and who has which certificate: ca, node, operator, revoke, renew, list."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from becomingone.cli.provision.passphrase import add_passphrase

if TYPE_CHECKING:
    from becomingone.cli.provision import Commands, Handlers

REASONS: Final = (
    "unspecified",
    "key-compromise",
    "affiliation-changed",
    "superseded",
    "cessation-of-operation",
    "privilege-withdrawn",
)

_MEMBERS: Final = (
    ("operator", "a person or a program that may ask for things"),
    ("observer", "a display that sees the results"),
    ("witness", "a hub that only observes and audits"),
    ("relay", "a child cell that hands its aggregate up"),
)


def add(group: Commands, common: argparse.ArgumentParser, handler: Handlers) -> None:
    """Add the commands."""
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--cell-dir", type=Path, default=Path(), metavar="DIR", help="the cell's folder (default: this one)"
    )
    place.add_argument("--json", action="store_true", help="print one JSON object")
    signing = argparse.ArgumentParser(add_help=False)
    add_passphrase(signing)
    life = argparse.ArgumentParser(add_help=False)
    life.add_argument("--days", type=_days, default=365, metavar="N", help="how long it holds (default: 365)")

    _add_ca(group, [common, place], handler)
    making = [common, place, signing, life]
    node = group.add_parser("node", parents=making, help="make a node's key and certificate")
    node.set_defaults(run=handler("provision.identities_run", "make_nodes"))
    node.add_argument("names", nargs="*", metavar="ID", help="the node's id")
    node.add_argument("--all", action="store_true", help="everybody in mesh.yaml who has none, also hub and broker")
    hub = group.add_parser("hub", parents=making, help="make the hub's key and certificate")
    hub.set_defaults(run=handler("provision.identities_run", "make_hub"))
    broker = group.add_parser("broker", parents=making, help="make the broker's key and certificate")
    broker.set_defaults(run=handler("provision.identities_run", "make_broker"))
    _add_hosts(broker)
    for role, help_text in _MEMBERS:
        one = group.add_parser(role, parents=making, help=f"make a key and certificate for {help_text}")
        one.set_defaults(run=handler("provision.identities_run", "make_members"), role=role)
        one.add_argument("names", nargs="+", metavar="NAME", help="lower-case letters, digits, - and _")

    renew = group.add_parser("renew", parents=making, help="make a new key and certificate; the old one holds on")
    renew.set_defaults(run=handler("provision.identities_run", "renew"))
    renew.add_argument("names", nargs="*", metavar="NAME", help="kitchen, hub, broker, operator:anna, ...")
    renew.add_argument("--due", action="store_true", help="everybody whose certificate has a third of its life or less")
    _add_hosts(renew)
    revoke = group.add_parser("revoke", parents=[common, place, signing], help="have the broker refuse somebody")
    revoke.set_defaults(run=handler("provision.identities_run", "revoke"))
    revoke.add_argument("names", nargs="*", metavar="NAME", help="all certificates of kitchen, operator:anna, ...")
    revoke.add_argument("--serial", type=_serial, metavar="HEX", help="one certificate alone, as list shows it")
    revoke.add_argument("--reason", choices=REASONS, default="unspecified", help="written into the revocation list")
    crl = group.add_parser("crl", parents=[common, place, signing], help="write the revocation list anew")
    crl.set_defaults(run=handler("provision.identities_run", "write_crl"))
    listing = group.add_parser("list", parents=[common, place], help="show who has a certificate, and until when")
    listing.set_defaults(run=handler("provision.identities_list", "show"))
    listing.add_argument("--all", action="store_true", help="every certificate that was ever issued")


def _add_ca(group: Commands, parents: list[argparse.ArgumentParser], handler: Handlers) -> None:
    ca = group.add_parser(
        "ca",
        parents=parents,
        help="make the cell's authority, its secret and its signing key",
        description="Makes the folder secrets/ with the cell's certificate authority, an empty revocation list, the "
        "secret and the signing key, and a .gitignore that keeps them out of a repository.",
    )
    ca.set_defaults(run=handler("provision.identities_run", "make_authority"))
    ca.add_argument("--cell", metavar="NAME", help="the cell's name (default: that of mesh.yaml, else home)")
    ca.add_argument("--days", type=_days, default=3650, metavar="N", help="how long it holds (default: 3650)")
    secret = ca.add_mutually_exclusive_group()
    secret.add_argument("--passphrase", action="store_true", help="ask for one, and encrypt the authority's key")
    secret.add_argument("--passphrase-file", type=Path, metavar="FILE", help="encrypt it with what this file holds")


def _add_hosts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        dest="hosts",
        metavar="NAME",
        help="a name or address under which clients reach the broker; once for each (default: those of mesh.yaml)",
    )


def _days(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 36_500:
        return int(text)
    msg = f"must be a number of days, 1..36500, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _serial(text: str) -> int:
    try:
        return int(text.replace(":", ""), 16)
    except ValueError:
        msg = f"must be a serial number in hexadecimal digits, not {text!r}"
        raise argparse.ArgumentTypeError(msg) from None
