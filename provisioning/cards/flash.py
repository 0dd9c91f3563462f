"""Writes a stock image with its first boot: checked before, written as a stream, read back after."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from becomingone.errors import ProvisioningError
from becomingone.provisioning.cards.boot import Prepared, prepare
from becomingone.provisioning.cards.fat import FatVolume
from becomingone.provisioning.cards.first_boot import FirstBoot
from becomingone.provisioning.cards.partitions import HEAD, Partition, boot_partition, partitions
from becomingone.provisioning.cards.source import CHUNK, Progress, Source, Stream, no_progress
from becomingone.provisioning.cards.target import Target

_DIGEST: Final = 16
"""Bytes kept of each MiB that is written; a card's errors are not an enemy's."""


@dataclass(frozen=True, slots=True)
class Ready:
    """An image with its first boot, not written yet.

    Parameters
    ----------
    source : Source
        The image, verified.
    sha256 : str
        That of its file.
    partition : Partition
        The boot partition.
    boot : binary file
        Its new content, without a name.
    prepared : Prepared
        What was put there.
    """

    source: Source
    sha256: str
    partition: Partition
    boot: BinaryIO
    prepared: Prepared


@contextmanager
def made_ready(
    source: Source, sha256: str, first: FirstBoot, *, progress: Progress = no_progress
) -> Generator[Ready, None, None]:
    """Copy the boot partition out of an image and put the first boot's files there; nothing else is touched.

    Parameters
    ----------
    source : Source
        The image; `source.verify` has given its `sha256`.
    sha256 : str
        That of its file.
    first : FirstBoot
        What the machine is to be.
    progress : callable, optional
        See `source.Progress`.

    Raises
    ------
    ProvisioningError
        The image is not one of Raspberry Pi OS, or there is no room on its boot partition.
    """
    with tempfile.TemporaryFile(prefix="becomingone-") as file:  # no name: a kill leaves no secret behind
        boot = cast("BinaryIO", file)
        partition = _copy_boot(source, boot, progress)
        prepared = prepare(FatVolume(boot, source.path), first, source.path)
        yield Ready(source, sha256, partition, boot, prepared)


def _copy_boot(source: Source, boot: BinaryIO, progress: Progress) -> Partition:
    offset, partition = 0, None
    head = b""
    for chunk in Stream(source).chunks():
        if partition is None:
            head += chunk
            if len(head) < min(HEAD, source.size):
                continue
            partition = boot_partition(partitions(head, source.path, source.size), source.path)
            os.ftruncate(boot.fileno(), partition.size)
            chunk, offset = head, 0  # noqa: PLW2901 - what was kept back comes first
        part = _cut(chunk, offset, partition)
        if part is not None and part[1].count(0) != len(part[1]):
            os.pwrite(boot.fileno(), part[1], part[0])
        offset += len(chunk)
        progress("prepared", min(max(0, offset - partition.start), partition.size), partition.size)
        if offset >= partition.end:
            break
    assert partition is not None  # noqa: S101 - an image has a chunk at least
    return partition


def _cut(chunk: bytes, offset: int, partition: Partition) -> tuple[int, bytes] | None:
    """Give the part of a chunk that lies in a partition, and where in it."""
    begin, end = max(offset, partition.start), min(offset + len(chunk), partition.end)
    return (begin - partition.start, chunk[begin - offset : end - offset]) if begin < end else None


def write(ready: Ready, target: Target, *, progress: Progress = no_progress) -> str:
    """Write everything, read it back, and only then make the target valid.

    Parameters
    ----------
    ready : Ready
        The image.
    target : Target
        Where to.
    progress : callable, optional
        See `source.Progress`.

    Returns
    -------
    str
        SHA-256 of all that is on the target now, as far as the image goes.

    Raises
    ------
    ProvisioningError
        The image has changed since it was verified, the target takes no more, or does not read back as written.
    """
    source, whole = ready.source, hashlib.sha256()
    stream, offset, digests = Stream(source), 0, list[bytes]()
    for raw in stream.chunks():
        chunk = _with_boot(raw, offset, ready)
        target.write(offset, chunk)
        whole.update(chunk)
        digests.append(_digest(chunk))
        offset += len(chunk)
        progress("written", offset, source.size)
    if stream.sha256 != ready.sha256:
        raise ProvisioningError(f"{source.path}: has changed while it was written: begin again")
    target.settle()
    for number, digest in enumerate(digests):
        offset = number * CHUNK
        if _digest(target.read(offset, min(CHUNK, source.size - offset))) != digest:
            msg = f"{target.path}: does not read back as it was written, in the MiB from byte {offset}"
            raise ProvisioningError(f"{msg}: the card is worn out, a fake, or was pulled out")
        progress("verified", min(offset + CHUNK, source.size), source.size)
    target.finish()
    return whole.hexdigest()


def _digest(chunk: bytes) -> bytes:
    return hashlib.blake2b(chunk, digest_size=_DIGEST).digest()


def _with_boot(chunk: bytes, offset: int, ready: Ready) -> bytes:
    part = _cut(chunk, offset, ready.partition)
    if part is None:
        return chunk
    at, old = part
    new = os.pread(ready.boot.fileno(), len(old), at)
    begin = ready.partition.start + at - offset
    return chunk[:begin] + new + chunk[begin + len(old) :]
