"""The arguments of SD cards: flash."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from becomingone.cli.arguments import words

if TYPE_CHECKING:
    from becomingone.cli.provision import Commands, Handlers

_ABOUT = """\
Writes a stock image of Raspberry Pi OS (.img or .img.xz) to a file or a disk, with what its first boot needs: name,
user with an SSH key, network, and the node's identity or a token to get one with. Nothing else of the image changes.
"""

_EXAMPLES = """\
  becomingone provision flash --image raspios.img.xz --node kitchen --out kitchen.img --wifi-file ~/wifi.yaml
  sudo becomingone provision flash --image raspios.img.xz --node kitchen --device /dev/sdX --identity

The file of --wifi-file has the fields ssid, password, country (GB) and, where needed, hidden: true and security:
wpa2, wpa2-wpa3, wpa3 or open. Keep it out of every repository.
"""


def add(group: Commands, common: argparse.ArgumentParser, handler: Handlers) -> None:
    """Add the commands."""
    flash = group.add_parser(
        "flash",
        parents=[common],
        help="write a stock image with a node's first boot, to a file or an SD card",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flash.set_defaults(run=handler("provision.cards_run", "flash"))
    flash.add_argument("--node", required=True, metavar="NAME", help="the node's id, or another machine of mesh.yaml")
    flash.add_argument("--cell-dir", type=Path, default=Path(), metavar="DIR", help="the cell's folder (default: here)")
    flash.add_argument("--json", action="store_true", help="print one JSON object")
    _add_image(flash.add_argument_group("the image"))
    _add_target(flash.add_argument_group("where to"))
    _add_machine(flash.add_argument_group("the machine"))
    _add_identity(flash.add_argument_group("who it is"))


def _add_image(image: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]
    image.add_argument("--image", type=Path, required=True, metavar="FILE", help=".img or .img.xz")
    checking = image.add_mutually_exclusive_group()
    checking.add_argument(
        "--sha256", metavar="HEX|FILE", help="what the file must have (default: in IMAGE.sha256 beside it)"
    )
    checking.add_argument(
        "--unchecked", action="store_true", help="an image of one's own: there is no published checksum"
    )
    image.add_argument("--image-sha256", metavar="HEX", help="what the unpacked image must have, too")


def _add_target(target: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]
    place = target.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", type=Path, metavar="FILE", help="an image file, for its owner only")
    place.add_argument("--device", type=Path, metavar="DEVICE", help="a whole disk: /dev/sdX, /dev/mmcblkN")
    place.add_argument("--dry-run", action="store_true", help="print what would be on the boot partition; no secrets")
    target.add_argument("--really", action="store_true", help="the disk does not call itself removable, and is meant")
    target.add_argument("--yes", action="store_true", help="do not ask: write over the file or the disk")


def _add_machine(machine: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]
    machine.add_argument("--hostname", metavar="NAME", help="default: from mesh.yaml, else the node's id")
    machine.add_argument("--user", metavar="NAME", help="who logs in, with sudo (default: from mesh.yaml, else pi)")
    machine.add_argument(
        "--ssh-key", type=Path, metavar="FILE", help="public keys (default: the one in ~/.ssh); there is no password"
    )
    network = machine.add_mutually_exclusive_group()
    network.add_argument("--wifi-file", type=Path, metavar="FILE", help="the wireless network; see below")
    network.add_argument("--wifi", action="store_true", help="ask for the wireless network")
    machine.add_argument("--timezone", metavar="ZONE", help="Europe/Berlin (default: as the image has it)")
    machine.add_argument("--locale", metavar="LOCALE", help="de_DE.UTF-8 (default: as the image has it)")
    machine.add_argument(
        "--interfaces",
        type=words,
        metavar="NAME,...",
        help="i2c, spi, one_wire, camera, audio, serial, gpio (default: what the node's devices in mesh.yaml need)",
    )


def _add_identity(identity: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]
    way = identity.add_mutually_exclusive_group()
    way.add_argument(
        "--identity", action="store_true", help="its key, certificate and node.yaml: whoever has the card is the node"
    )
    way.add_argument(
        "--token-file", metavar="FILE|-", help="a join token, as becomingone provision token prints it; -: from input"
    )
    identity.add_argument("--join-url", metavar="URL", help="with a token: the server (default: found by mDNS)")
    identity.add_argument("--wheel", type=Path, metavar="FILE", help="our software, too (default: Ansible brings it)")
