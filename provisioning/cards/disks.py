"""What the kernel and udev know of a disk, gathered without opening it.

Sources: the kernel's Documentation/ABI/stable/sysfs-block; proc(5) for ``mountinfo`` and ``swaps``; udev's database in
``/run/udev/data``.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from becomingone.errors import ConfigError

_SECTOR: Final = 512
"""What sysfs counts a disk's size in, whatever its sectors are."""

_SYSTEM: Final = ("/", "/boot", "/boot/firmware", "/boot/efi", "/usr", "/var", "/home")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class PartFacts:
    """A partition of a disk, or the disk as a whole where a file system is on it without a table.

    Parameters
    ----------
    name : str
        As the kernel calls it: ``sdb1``.
    content, label : str
        What udev has found on it (``vfat``, ``LVM2_member``), and what that calls itself; empty where it has not.
    mounted : tuple of str
        Where.
    swap : bool
        It is used as swap.
    holders : tuple of str
        Devices that are made of it: device mapper, RAID, bcache.
    """

    name: str
    content: str = ""
    label: str = ""
    mounted: tuple[str, ...] = ()
    swap: bool = False
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A block device.

    Parameters
    ----------
    path : Path
        The device node.
    name : str
        As the kernel calls it: ``sdb``, ``mmcblk0``.
    model, serial, bus : str
        What udev or the device say; empty where they say nothing. Bus: ``usb``, ``mmc``, ``ata``, ``nvme``, ...
    size : int
        Bytes.
    removable : bool
        The kernel says that its medium can be taken out, or it is an SD card.
    read_only : bool
        It takes no writes: a card's switch, for one.
    partition_of : str
        The disk, where this is only a part of it; else empty.
    physical : bool
        There is hardware behind it, and not a file or other devices.
    parts : tuple of PartFacts
        Itself first, then its partitions.
    under_system : bool
        What this system runs from is on it, also through device mapper or RAID.
    """

    path: Path
    name: str
    model: str
    serial: str
    bus: str
    size: int
    removable: bool
    read_only: bool
    partition_of: str
    physical: bool
    parts: tuple[PartFacts, ...]
    under_system: bool


@dataclass(frozen=True, slots=True)
class Kernel:
    """Where the kernel and udev are asked; other folders in tests.

    Parameters
    ----------
    sys, proc, udev : Path
        ``/sys``, ``/proc``, ``/run/udev/data``.
    """

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    udev: Path = Path("/run/udev/data")


def facts_of(path: Path, number: int, kernel: Kernel | None = None) -> DiskFacts:
    """Gather what there is to know.

    Parameters
    ----------
    path : Path
        The device node.
    number : int
        Its device number, ``st_rdev``.
    kernel : Kernel, optional
        Where to ask.

    Raises
    ------
    ConfigError
        The kernel does not know it.
    """
    kernel = kernel or Kernel()
    known = kernel.sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    if not known.exists():
        raise ConfigError(f"{path}: the kernel knows no such block device: is the card in?")
    folder = known.resolve()
    mounts, swaps = _mounts(kernel), _swaps(kernel)
    partition = (folder / "partition").exists()
    # A whole disk's fellow parts count for a partition, too: they are not asked for then.
    folders = [folder, *sorted(found.parent for found in folder.glob("*/partition"))]
    about = _udev(kernel, folder)
    kind = _text(folder / "device" / "type")
    return DiskFacts(
        path=path,
        name=folder.name,
        model=about.get("ID_MODEL", "").replace("_", " ").strip()
        or " ".join(filter(None, (_text(folder / "device" / "vendor"), _text(folder / "device" / "model"))))
        or _text(folder / "device" / "name"),
        serial=about.get("ID_SERIAL_SHORT") or _text(folder / "device" / "serial"),
        bus=about.get("ID_BUS") or _bus(folder),
        size=int(_text(folder / "size") or 0) * _SECTOR,
        removable=_text(folder / "removable") == "1" or kind == "SD",
        read_only=_text(folder / "ro") == "1",
        partition_of=folder.parent.name if partition else "",
        physical=partition or (folder / "device").exists(),
        parts=tuple(_part(kernel, one, mounts, swaps) for one in folders),
        under_system=folder.name in set(_under_system(kernel, mounts)),
    )


def disk_of(path: Path) -> int | None:
    """Give a device node's number; None where this is no block device.

    Raises
    ------
    ConfigError
        There is nothing of that name.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}: is the card in?") from error
    return status.st_rdev if stat.S_ISBLK(status.st_mode) else None


def _part(kernel: Kernel, folder: Path, mounts: dict[str, list[str]], swaps: set[str]) -> PartFacts:
    about = _udev(kernel, folder)
    number = _text(folder / "dev")
    holders = folder / "holders"
    return PartFacts(
        name=folder.name,
        content=about.get("ID_FS_TYPE", ""),
        label=about.get("ID_FS_LABEL", ""),
        mounted=(*mounts.get(number, []), *mounts.get(f"/dev/{folder.name}", [])),
        swap=folder.name in swaps,
        holders=tuple(sorted(one.name for one in holders.iterdir())) if holders.is_dir() else (),
    )


def _mounts(kernel: Kernel) -> dict[str, list[str]]:
    """Read the mount points by device number, and by the source's name where the number is the file system's own."""
    found: dict[str, list[str]] = {}
    for line in _text(kernel.proc / "self" / "mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        words, about = fields.split(), rest.split()
        if len(words) < 5 or len(about) < 2:
            continue
        place = _plain(words[4])
        # btrfs and its like have numbers of their own: 0:47.
        key = words[2] if not words[2].startswith("0:") else str(_node(kernel, _plain(about[1])))
        found.setdefault(key, []).append(place)
    return found


def _node(kernel: Kernel, source: str) -> str:
    """Follow a device's other name (``/dev/mapper/root``, ``/dev/disk/by-uuid/...``) to the kernel's."""
    return os.path.realpath(source) if kernel.sys == Path("/sys") and source.startswith("/dev/") else source


def _swaps(kernel: Kernel) -> set[str]:
    lines = _text(kernel.proc / "swaps").splitlines()[1:]
    return {Path(_node(kernel, _plain(line.split()[0]))).name for line in lines if line.split()}


def _under_system(kernel: Kernel, mounts: dict[str, list[str]]) -> Iterator[str]:
    """Give every device that the system's own folders are on, down to the disks."""
    for key, places in mounts.items():
        if not any(place in _SYSTEM for place in places):
            continue
        found = kernel.sys / "dev" / "block" / key
        if key.startswith("/dev/"):
            found = kernel.sys / "class" / "block" / Path(key).name
        if found.exists():
            yield from _below(found.resolve())


def _below(folder: Path) -> Iterator[str]:
    yield folder.name
    if (folder / "partition").exists():
        yield from _below(folder.parent)
    slaves = folder / "slaves"
    for slave in slaves.iterdir() if slaves.is_dir() else ():
        yield from _below(slave.resolve())


def _udev(kernel: Kernel, folder: Path) -> dict[str, str]:
    text = _text(kernel.udev / f"b{_text(folder / 'dev')}")
    pairs = (line[2:].partition("=") for line in text.splitlines() if line.startswith("E:"))
    return {name: value for name, _, value in pairs}


def _bus(folder: Path) -> str:
    device = folder / "device"
    subsystem = (device / "subsystem").resolve().name if (device / "subsystem").exists() else ""
    return "usb" if "/usb" in str(device.resolve()) else subsystem


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _text(path: Path) -> str:
    """Read one of the kernel's small files; it has none for what a device does not say."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
