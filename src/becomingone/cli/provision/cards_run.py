"""``provision flash``: a stock image with a node's first boot, to a file or an SD card."""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from becomingone.cli.exits import Exit
from becomingone.cli.provision.cards_bar import Bar
from becomingone.cli.provision.cards_first_boot import first_boot
from becomingone.errors import ConfigError
from becomingone.provisioning.cards.checksum import published
from becomingone.provisioning.cards.disk_rules import described, refusal
from becomingone.provisioning.cards.disks import DiskFacts, disk_of, facts_of
from becomingone.provisioning.cards.flash import Ready, made_ready, write
from becomingone.provisioning.cards.source import Source, look_at, verify
from becomingone.provisioning.cards.target import UNFINISHED, DiskTarget, FileTarget, Target, part_of

_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")


def flash(arguments: argparse.Namespace) -> int:
    """Check everything, then write, then read back."""
    unpacked = arguments.image_sha256
    if unpacked is not None and not _DIGEST.fullmatch(unpacked):
        raise ConfigError(f"--image-sha256: {unpacked!r} must be 64 hexadecimal digits")
    source = look_at(arguments.image)
    expected = None if arguments.unchecked else published(arguments.sha256, arguments.image)
    first = first_boot(arguments, secrets.token_bytes)
    disk = _checked_disk(arguments, source) if arguments.device is not None else None
    if arguments.out is not None:
        _check_file(arguments.out, source, replace=arguments.yes or _may_ask())
    with Bar(quiet=arguments.json) as bar:
        found = verify(source, expected, unpacked_sha256=unpacked and unpacked.lower(), progress=bar.show)
        with made_ready(source, found, first, progress=bar.show) as ready:
            if arguments.dry_run:
                bar.close()
                return _show(arguments, ready)
            bar.close()
            with _target(arguments, source, disk) as target:
                written = write(ready, target, progress=bar.show)
            bar.close()
            return _tell(arguments, ready, target.path, written, checked=expected is not None)


def _may_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _answer(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _check_file(path: Path, source: Source, *, replace: bool) -> None:
    for there in filter(Path.exists, (path, part_of(path))):
        status = there.stat()
        if (status.st_dev, status.st_ino) == source.identity:
            raise ConfigError(f"--out: {there} is the image itself: write to another file")
    if path.exists() and not replace:
        raise ConfigError(f"--out: {path} is there already: --yes writes over it")
    if not path.parent.is_dir():
        raise ConfigError(f"--out: there is no folder {path.parent}")


def _checked_disk(arguments: argparse.Namespace, source: Source) -> DiskFacts:
    path = cast("Path", arguments.device)
    number = disk_of(path)
    if number is None:
        raise ConfigError(f"--device: {path} is no disk: --out writes to a file")
    facts = facts_of(path, number)
    why = refusal(facts, source.size, really=arguments.really)
    if why is not None:
        raise ConfigError(f"--device: {path} {why}")
    return facts


@contextmanager
def _target(arguments: argparse.Namespace, source: Source, disk: DiskFacts | None) -> Generator[Target, None, None]:
    if disk is None:
        path = cast("Path", arguments.out)
        if (
            path.exists()
            and not arguments.yes
            and _answer(f"{path} is there already. Write over it? [yes/no] ") != "yes"
        ):
            raise ConfigError(f"--out: {path} is left as it is")
        with FileTarget(path, source.size, replace=True) as file:
            yield file
        return
    _confirm(arguments, disk)
    with DiskTarget(disk.path, source.size) as target:
        now = facts_of(disk.path, target.number)
        if not target.is_block_device or (now.name, now.serial, now.size) != (disk.name, disk.serial, disk.size):
            raise ConfigError(f"--device: {disk.path} has become another disk since it was looked at: begin again")
        try:
            target.begin()
            yield target
        except BaseException:
            print(f"becomingone: {disk.path} is not finished and boots nowhere: write it again", file=sys.stderr)
            raise


def _confirm(arguments: argparse.Namespace, disk: DiskFacts) -> None:
    print(described(disk), file=sys.stderr)
    try:
        with disk.path.open("rb") as file:
            if file.read(len(UNFINISHED)) == UNFINISHED:
                print(f"{disk.path}: was being written before, and that was not finished", file=sys.stderr)
    except OSError as error:
        raise ConfigError(f"--device: {disk.path}: {error.strerror or error}: sudo, or the group disk") from error
    if arguments.yes:
        return
    if not _may_ask():
        raise ConfigError(f"--device: everything on {disk.path} would be lost, and nobody is there to be asked: --yes")
    name = os.fspath(disk.path)
    if _answer(f"Everything on it will be lost. Type {name} to write to it: ") != name:
        raise ConfigError(f"--device: {name} is left as it is")


def _show(arguments: argparse.Namespace, ready: Ready) -> int:
    shown = [
        {"file": file.name, "bytes": len(file.content), "secret": file.secret, "text": _text(file.content, file.secret)}
        for file in ready.prepared.files
    ]
    if arguments.json:
        print(json.dumps({"style": ready.prepared.style.value, "files": shown}))
        return Exit.DONE
    print(f"{arguments.image}: configured by {ready.prepared.style.value}; on its boot partition would be:")
    for file in shown:
        print(f"\n--- {file['file']} ({file['bytes']} bytes)")
        print(file["text"])
    return Exit.DONE


def _text(content: bytes, secret: bool) -> str:
    if secret:
        return "(secret)"
    try:
        return content.decode("utf-8").rstrip("\n")
    except UnicodeDecodeError:
        return "(not a text)"


def _tell(arguments: argparse.Namespace, ready: Ready, path: Path, written: str, *, checked: bool) -> int:
    facts: dict[str, Any] = {
        "target": str(path),
        "node": arguments.node,
        "image": str(arguments.image),
        "image_sha256": ready.sha256,
        "checked": checked,
        "style": ready.prepared.style.value,
        "bytes": ready.source.size,
        "sha256": written,
        "files": [file.name for file in ready.prepared.files],
        "secrets": [file.name for file in ready.prepared.files if file.secret],
    }
    if arguments.json:
        print(json.dumps(facts))
        return Exit.DONE
    print(f"{path}: {ready.source.size} bytes written and read back, for {arguments.node}")
    print(f"first boot: {facts['style']}; {len(facts['files'])} files on the boot partition")
    if facts["secrets"]:
        print(f"until that boot whoever has it can read: {', '.join(facts['secrets'])}")
    if not checked:
        print("the image was not checked against a published SHA-256")
    return Exit.DONE
