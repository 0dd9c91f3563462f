"""Which disks are refused, from a /sys, /proc and udev of our own."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from becomingone.errors import ConfigError
from becomingone.provisioning.cards.disk_rules import described, refusal
from becomingone.provisioning.cards.disks import DiskFacts, Kernel, PartFacts, disk_of, facts_of

GB = 10**9

CARD = DiskFacts(
    path=Path("/dev/sdb"),
    name="sdb",
    model="STORAGE DEVICE",
    serial="000000001206",
    bus="usb",
    size=32 * GB,
    removable=True,
    read_only=False,
    partition_of="",
    physical=True,
    parts=(PartFacts("sdb"), PartFacts("sdb1", "vfat", "bootfs"), PartFacts("sdb2", "ext4", "rootfs")),
    under_system=False,
)


def _with_part(part: PartFacts) -> DiskFacts:
    return replace(CARD, parts=(CARD.parts[0], part))


@pytest.mark.parametrize(
    ("disk", "why"),
    [
        (replace(CARD, partition_of="sdb", name="sdb1"), "is a partition: the image is one of a whole disk: /dev/sdb"),
        (replace(CARD, physical=False), "is made by the kernel and no card"),
        (replace(CARD, under_system=True), "is the disk that this system runs from"),
        (_with_part(PartFacts("sdb1", mounted=("/media/a b",))), "sdb1 is mounted on /media/a b: umount /media/a b"),
        (_with_part(PartFacts("sdb1", swap=True)), "sdb1 is in use as swap"),
        (_with_part(PartFacts("sdb1", holders=("dm-0",))), "sdb1 is part of dm-0"),
        (_with_part(PartFacts("sdb1", content="LVM2_member")), "sdb1 belongs to LVM"),
        (_with_part(PartFacts("sdb1", content="linux_raid_member")), "sdb1 belongs to RAID"),
        (_with_part(PartFacts("sdb1", content="zfs_member")), "sdb1 belongs to ZFS"),
        (replace(CARD, size=0), "is empty: there is no card in the reader"),
        (replace(CARD, read_only=True), "is read-only: look at the little switch"),
        (replace(CARD, size=2 * GB), "is too small: it has 2000000000 bytes, and the image 3000000000"),
        (replace(CARD, removable=False), "does not call itself removable: is it the card? --really"),
    ],
)
def test_refused(disk: DiskFacts, why: str) -> None:
    assert (refusal(disk, 3 * GB) or "").startswith(why)
    # What is in use is never written to, whatever the operator says.
    if disk.removable:
        assert refusal(disk, 3 * GB, really=True) is not None


def test_taken() -> None:
    assert refusal(CARD, 3 * GB) is None
    assert refusal(replace(CARD, removable=False), 3 * GB, really=True) is None
    assert described(CARD) == (
        "/dev/sdb: STORAGE DEVICE, 32.0 GB, usb, serial 000000001206; on it: sdb1: vfat 'bootfs', sdb2: ext4 'rootfs'"
    )
    bare = replace(CARD, model="", bus="", serial="", parts=CARD.parts[:1])
    assert described(bare).endswith(
        "unknown model, 32.0 GB, unknown bus, no serial number; on it: nothing that is known"
    )


class Machine:
    """A machine with an NVMe disk under LVM, a card reader on USB, a built-in SD slot, and a loop device."""

    def __init__(self, folder: Path) -> None:
        self.kernel = Kernel(folder / "sys", folder / "proc", folder / "udev")
        for path in (self.kernel.sys / "dev/block", self.kernel.sys / "class/block", self.kernel.udev):
            path.mkdir(parents=True)
        (self.kernel.proc / "self").mkdir(parents=True)
        self.disk("nvme0n1", 259, 0, 500 * GB, "pci0000:00/nvme/nvme0/nvme0n1", model="Samsung SSD 980")
        self.part("nvme0n1", "nvme0n1p1", 259, 1)
        self.part("nvme0n1", "nvme0n1p2", 259, 2, udev={"ID_FS_TYPE": "LVM2_member"}, holders=["dm-0"])
        self.disk("dm-0", 253, 0, 499 * GB, "virtual/block/dm-0", physical=False, slaves=["nvme0n1p2"])
        self.disk(
            "sdb",
            8,
            16,
            32 * GB,
            "pci0000:00/usb1/1-2/host6/block/sdb",
            removable=True,
            model="STORAGE DEVICE",
            udev={"ID_BUS": "usb", "ID_SERIAL_SHORT": "000000001206", "ID_MODEL": "STORAGE_DEVICE"},
        )
        self.part("sdb", "sdb1", 8, 17, udev={"ID_FS_TYPE": "vfat", "ID_FS_LABEL": "bootfs"})
        self.disk("mmcblk0", 179, 0, 16 * GB, "platform/mmc0/mmc0:aaaa/block/mmcblk0", kind="SD", title="SC16G")
        self.disk("mmcblk1", 179, 8, 16 * GB, "platform/mmc1/mmc1:0001/block/mmcblk1", kind="MMC", title="eMMC")
        self.disk("loop0", 7, 0, 4 * GB, "virtual/block/loop0", physical=False)
        self.disk("sdc", 8, 32, 1000 * GB, "pci0000:00/usb1/1-3/host7/block/sdc", model="Backup")
        self.part("sdc", "sdc1", 8, 33, udev={"ID_FS_TYPE": "btrfs"})
        self.mount("253:0 / / rw - ext4 /dev/mapper/vg-root", "259:1 / /boot rw - ext4 /dev/nvme0n1p1")
        self.swap()

    def disk(
        self,
        name: str,
        major: int,
        minor: int,
        size: int,
        place: str,
        *,
        removable: bool = False,
        physical: bool = True,
        model: str = "",
        kind: str = "",
        slaves: list[str] | None = None,
        udev: dict[str, str] | None = None,
        title: str = "",
    ) -> None:
        folder = self.kernel.sys / "devices" / place
        folder.mkdir(parents=True)
        self._files(folder, {"size": str(size // 512), "ro": "0", "removable": str(int(removable))})
        if physical:
            (folder / "device").mkdir()
            self._files(folder / "device", {"model": model, "type": kind, "name": title})
        (folder / "slaves").mkdir()
        for slave in slaves or []:
            (folder / "slaves" / slave).symlink_to(self.kernel.sys / "class/block" / slave)
        self._known(folder, name, major, minor, udev or {})

    def part(
        self,
        disk: str,
        name: str,
        major: int,
        minor: int,
        udev: dict[str, str] | None = None,
        holders: list[str] | None = None,
    ) -> None:
        folder = (self.kernel.sys / "class/block" / disk).resolve() / name
        folder.mkdir()
        self._files(folder, {"partition": "1", "size": "1000", "ro": "0"})
        (folder / "holders").mkdir()
        for holder in holders or []:
            (folder / "holders" / holder).mkdir()
        self._known(folder, name, major, minor, udev or {})

    def _known(self, folder: Path, name: str, major: int, minor: int, udev: dict[str, str]) -> None:
        (folder / "dev").write_text(f"{major}:{minor}\n")
        (self.kernel.sys / "dev/block" / f"{major}:{minor}").symlink_to(folder)
        (self.kernel.sys / "class/block" / name).symlink_to(folder)
        (self.kernel.udev / f"b{major}:{minor}").write_text(
            "".join(f"E:{key}={value}\n" for key, value in udev.items())
        )

    def _files(self, folder: Path, files: dict[str, str]) -> None:
        for name, text in files.items():
            (folder / name).write_text(text + "\n")

    def mount(self, *mounts: str) -> None:
        lines = [
            f"{number} 1 {mount} - x" if " - " not in mount else f"{number} 1 {mount}"
            for number, mount in enumerate(mounts)
        ]
        (self.kernel.proc / "self" / "mountinfo").write_text("\n".join(lines) + "\n")

    def swap(self, *devices: str) -> None:
        lines = ["Filename\tType\tSize\tUsed\tPriority", *(f"{device} partition 1 0 -2" for device in devices)]
        (self.kernel.proc / "swaps").write_text("\n".join(lines) + "\n")

    def facts(self, name: str, major: int, minor: int) -> DiskFacts:
        return facts_of(Path("/dev") / name, os.makedev(major, minor), self.kernel)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_card_reader(machine: Machine) -> None:
    card = machine.facts("sdb", 8, 16)
    assert (card.name, card.model, card.serial, card.bus) == ("sdb", "STORAGE DEVICE", "000000001206", "usb")
    assert (card.size, card.removable, card.physical, card.partition_of) == (32 * GB, True, True, "")
    assert card.parts == (PartFacts("sdb"), PartFacts("sdb1", "vfat", "bootfs"))
    assert refusal(card, 3 * GB) is None


def test_built_in_slots(machine: Machine) -> None:
    card, soldered = machine.facts("mmcblk0", 179, 0), machine.facts("mmcblk1", 179, 8)
    assert (card.removable, soldered.removable) == (True, False)
    assert card.model == "SC16G"
    assert refusal(card, 3 * GB) is None
    assert "does not call itself removable" in (refusal(soldered, 3 * GB) or "")


def test_the_system_is_found_below_its_layers(machine: Machine) -> None:
    disk = machine.facts("nvme0n1", 259, 0)
    assert disk.under_system
    assert refusal(disk, 3 * GB, really=True) == "is the disk that this system runs from"
    part = machine.facts("nvme0n1p2", 259, 2)
    assert (refusal(part, 3 * GB, really=True) or "").endswith("/dev/nvme0n1")
    mapped = machine.facts("dm-0", 253, 0)
    assert not mapped.physical
    loop = machine.facts("loop0", 7, 0)
    assert "is made by the kernel" in (refusal(loop, 3 * GB, really=True) or "")


def test_mounts(machine: Machine) -> None:
    machine.mount("8:17 / /media/a\\040b rw - vfat /dev/sdb1", "0:47 / /data rw shared:3 - btrfs /dev/sdc1")
    assert machine.facts("sdb", 8, 16).parts[1].mounted == ("/media/a b",)
    # btrfs has a number of its own; it is found by its device's name.
    assert "sdc1 is mounted on /data" in (refusal(machine.facts("sdc", 8, 32), 3 * GB, really=True) or "")
    machine.mount("0:47 /@ / rw - btrfs /dev/sdc1")
    assert machine.facts("sdc", 8, 32).under_system


def test_swap(machine: Machine) -> None:
    machine.swap("/dev/sdb1")
    assert refusal(machine.facts("sdb", 8, 16), 3 * GB) == "sdb1 is in use as swap"


def test_what_is_no_disk(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/dev/sdx: the kernel knows no such block device"):
        machine.facts("sdx", 8, 255)
    assert disk_of(tmp_path) is None
    with pytest.raises(ConfigError, match=r"is the card in\?"):
        disk_of(tmp_path / "none")
