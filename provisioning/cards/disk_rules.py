"""Which disks may be written over: pure functions of what is known of them."""

from __future__ import annotations

from typing import Final

from becomingone.provisioning.cards.disks import DiskFacts

_MEMBERS: Final = {
    "LVM2_member": "LVM",
    "linux_raid_member": "RAID",
    "ddf_raid_member": "RAID",
    "isw_raid_member": "RAID",
    "zfs_member": "ZFS",
    "bcache": "bcache",
    "drbd": "DRBD",
    "ceph_bluestore": "Ceph",
}


def refusal(disk: DiskFacts, needed: int, *, really: bool = False) -> str | None:
    """Say why a disk must not be written over.

    Parameters
    ----------
    disk : DiskFacts
        The disk.
    needed : int
        Bytes of the image.
    really : bool, optional
        The operator has said that a disk that does not call itself removable is meant.

    Returns
    -------
    str or None
        One clause that says what is wrong and what would be right; None: it may.
    """
    checks = (_no_whole_disk(disk), _in_use(disk), _unfit(disk, needed))
    found = next((why for why in checks if why is not None), None)
    if found is None and not disk.removable and not really:
        found = "does not call itself removable: is it the card? --really writes to it all the same"
    return found


def _no_whole_disk(disk: DiskFacts) -> str | None:
    if disk.partition_of:
        return f"is a partition: the image is one of a whole disk: /dev/{disk.partition_of}"
    if not disk.physical:
        return "is made by the kernel and no card (loop, device mapper, RAID, RAM): write to a file with --out"
    return None


def _in_use(disk: DiskFacts) -> str | None:
    if disk.under_system:
        return "is the disk that this system runs from"
    for part in disk.parts:
        if part.mounted:
            return f"{part.name} is mounted on {part.mounted[0]}: umount {part.mounted[0]}"
        if part.swap:
            return f"{part.name} is in use as swap"
        if part.holders:
            return f"{part.name} is part of {', '.join(part.holders)} (LVM, RAID or encryption)"
        if part.content in _MEMBERS:
            return f"{part.name} belongs to {_MEMBERS[part.content]}: take it out of there first"
    return None


def _unfit(disk: DiskFacts, needed: int) -> str | None:
    if disk.size == 0:
        return "is empty: there is no card in the reader"
    if disk.read_only:
        return "is read-only: look at the little switch of the card or of its adapter"
    if disk.size < needed:
        return f"is too small: it has {disk.size} bytes, and the image {needed}"
    return None


def described(disk: DiskFacts) -> str:
    """Describe a disk so that a person knows it again: model, size, bus, serial number and what is on it."""
    about = [disk.model or "unknown model", _size(disk.size), disk.bus or "unknown bus"]
    about.append(f"serial {disk.serial}" if disk.serial else "no serial number")
    there = [
        f"{part.name}: {part.content}" + (f" '{part.label}'" if part.label else "")
        for part in disk.parts
        if part.content
    ]
    return f"{disk.path}: {', '.join(about)}; on it: {', '.join(there) or 'nothing that is known'}"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
