"""The command, on images of both ways."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from becomingone.cli.provision import cards_run

from .fat32 import Fat32
from .images import (
    BOOT_SIZE,
    BOOT_START,
    CLOUD_INIT,
    CONFIG,
    SIZE,
    boot_names,
    boot_text,
    check_file_systems,
    make_image,
    pack,
    write_checksum,
)

CHANGED = {"/CMDLINE.TXT", "/CONFIG.TXT", "/USER-D~1", "/META-D~1", "/NETWOR~1"}


def _original(images: dict[str, Path], style: str) -> bytes:
    return images[style].read_bytes()


@pytest.mark.parametrize("style", ["cloud-init", "firstrun"])
def test_files_land_and_nothing_else_changes(
    flash: Any, images: dict[str, Path], tmp_path: Path, wifi_file: Path, capsys: pytest.CaptureFixture[str], style: str
) -> None:
    out = tmp_path / "kitchen.img"
    words = ("--wifi-file", wifi_file, "--interfaces", "i2c,spi", "--user", "anna", "--json", "--out", out)
    assert flash(*words, image=images[f"{style}.xz"]) == 0
    told = json.loads(capsys.readouterr().out)
    old, new = _original(images, style), out.read_bytes()
    assert told["style"] == style
    assert told["sha256"] == hashlib.sha256(new).hexdigest()
    assert (told["bytes"], told["checked"], out.stat().st_mode & 0o777) == (SIZE, True, 0o600)
    assert "correct horse" not in json.dumps(told)
    assert set(told["files"]) <= set(boot_names(out))
    assert told["secrets"] == ["network-config" if style == "cloud-init" else "becomingone/wifi.nmconnection"]
    check_file_systems(out, tmp_path)

    # Everything outside the boot partition, byte by byte.
    assert new[:BOOT_START] == old[:BOOT_START]
    assert new[BOOT_START + BOOT_SIZE :] == old[BOOT_START + BOOT_SIZE :]
    # In it: what is no file's that was changed, no folder, no allocation table.
    before, after = (Fat32(content[BOOT_START : BOOT_START + BOOT_SIZE]) for content in (old, new))
    assert before.reserved[:512] == after.reserved[:512]
    assert after.fats[0] == after.fats[1]
    files, now = before.files(), after.files()
    untouched = {name: chain for name, chain in files.items() if name not in CHANGED and not name.endswith("/")}
    assert {"/KERNEL8.IMG", "/OVERLAYS/README", "/ISSUE.TXT"} <= set(untouched)
    for name, chain in untouched.items():
        assert now[name] == chain, name
        assert all(before.read(cluster) == after.read(cluster) for cluster in chain), name
    ours = {cluster for name, chain in now.items() if name not in untouched for cluster in chain}
    free = set(range(2, len(before.next))) - before.used() - ours
    assert len(free) > 1000
    gone = {cluster for name in CHANGED for cluster in files.get(name, [])}
    differing = [cluster for cluster in free - gone if before.read(cluster) != after.read(cluster)]
    # Free clusters that a changed file has had in between, before its last version was written.
    assert len(differing) <= 8, differing


def test_cloud_init_files(flash: Any, tmp_path: Path, wifi_file: Path) -> None:
    seen = set()
    for number in range(2):
        out = tmp_path / f"{number}.img"
        assert flash("--wifi-file", wifi_file, "--interfaces", "i2c,serial", "--out", out) == 0
        cmdline = boot_text(out, "cmdline.txt")
        match = re.fullmatch(
            r"console=tty1 root=\S+ .* ds=nocloud;i=(becomingone-kitchen-[0-9a-f]{16}) cfg80211.ieee80211_regdom=GB\n",
            cmdline,
        )
        assert match, cmdline
        assert boot_text(out, "meta-data") == f"instance-id: {match[1]}\n"
        seen.add(match[1])
    assert len(seen) == 2  # another for every card, or cloud-init does not apply it
    assert boot_text(out, "config.txt") == (
        CONFIG + "\n[all]\n# becomingone\ndtparam=i2c_arm=on\nenable_uart=1\ndtparam=watchdog=on\n"
    )
    assert "Example Net" in boot_text(out, "network-config")
    assert "correct horse" not in "".join(boot_text(out, name) for name in boot_names(out))


def test_without_a_network_the_images_own_stays(flash: Any, images: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "kitchen.img"
    assert flash("--out", out) == 0
    assert boot_text(out, "network-config") == boot_text(images["cloud-init"], "network-config")
    assert "regdom" not in boot_text(out, "cmdline.txt")


def test_a_card_that_was_flashed_before_is_flashed_again(flash: Any, tmp_path: Path) -> None:
    first, second = tmp_path / "a.img", tmp_path / "b.img"
    assert flash("--out", first, "--timezone", "Europe/Berlin") == 0
    assert flash("--out", second, "--unchecked", image=first) == 0
    assert boot_text(second, "cmdline.txt").count("ds=nocloud") == 1
    assert boot_text(second, "config.txt") == boot_text(first, "config.txt")
    assert "timezone" not in boot_text(second, "user-data")
    check_file_systems(second, tmp_path)


def test_dry_run_writes_nothing_and_shows_no_secret(
    flash: Any, images: dict[str, Path], tmp_path: Path, wifi_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = sorted(tmp_path.iterdir())
    assert flash("--dry-run", "--wifi-file", wifi_file, image=images["firstrun.xz"]) == 0
    shown = capsys.readouterr().out
    assert "configured by firstrun" in shown
    assert "--- becomingone/wifi.nmconnection" in shown
    assert "(secret)" in shown
    assert "correct horse" not in shown
    assert "psk=" not in shown
    assert sorted(tmp_path.iterdir()) == there


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--sha256", "ab" * 32), 1, r"trixie\.img\.xz: its SHA-256 is [0-9a-f]{64}, and not (ab){32}: damaged, or"),
        (("--sha256", "abc"), 2, r"--sha256: 'abc' must be 64 hexadecimal digits"),
        (("--image-sha256", "cd" * 32), 1, r"unpacked, its SHA-256 is [0-9a-f]{64}, and not (cd){32}"),
        (("--image-sha256", "cd"), 2, r"--image-sha256: 'cd' must be 64"),
        (("--user", "root"), 2, r"--user: 'root' must be"),
        (("--interfaces", "i2c,usb"), 2, r"--interfaces: usb: must be among i2c, spi"),
        (("--join-url", "https://hub"), 2, r"--join-url: .* it needs --token-file"),
        (("--wifi",), 2, r"--wifi asks on a terminal, and there is none"),
        (("--identity",), 2, r"node\.yaml: there is no such file yet: becomingone provision render makes it"),
        (("--hostname", "a_b"), 2, r"--hostname: 'a_b' must be"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    flash: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, why: str
) -> None:
    there = sorted(tmp_path.iterdir())
    assert flash(*words, "--out", tmp_path / "kitchen.img") == code
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(f"^becomingone: .*{why}", line), line
    assert sorted(tmp_path.iterdir()) == there


def _image(tmp_path: Path, files: dict[str, str]) -> Path:
    path = make_image(tmp_path / "other.img", files)
    write_checksum(path)
    return path


def test_bad_images(flash: Any, images: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = tmp_path / "cut.img.xz"
    cut.write_bytes(images["cloud-init.xz"].read_bytes()[:-1000])
    write_checksum(cut)
    no_table = tmp_path / "zeros.img"
    no_table.write_bytes(bytes(1 << 20))
    write_checksum(no_table)
    cases = [
        (cut, r"cut\.img\.xz: not a whole \.xz file: cut off or damaged"),
        (no_table, "has no partition table"),
        (_image(tmp_path, {"config.txt": "", "start.elf": "x"}), "has no cmdline.txt on its boot partition: it is not"),
    ]
    for image, why in cases:
        assert flash("--out", tmp_path / "kitchen.img", image=image) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert re.search(why, line), line
        assert not (tmp_path / "kitchen.img").exists()
        assert not (tmp_path / "kitchen.img.part").exists()
    other = _image(tmp_path, {"config.txt": "", "cmdline.txt": "root=/dev/sda2\n"})
    assert flash("--out", tmp_path / "kitchen.img", image=other) == 1
    assert "has neither user-data nor an issue.txt of pi-gen" in capsys.readouterr().err


def test_targets_that_are_refused(
    flash: Any, images: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.img"
    shutil.copy(images["cloud-init"], own)
    digest = hashlib.sha256(own.read_bytes()).hexdigest()
    link = tmp_path / "link.img"
    link.hardlink_to(own)
    for target in (own, link):
        assert flash("--out", target, "--yes", "--sha256", digest, image=own) == 2
        assert "is the image itself: write to another file" in capsys.readouterr().err
    assert hashlib.sha256(own.read_bytes()).hexdigest() == digest
    part = tmp_path / "next.img.part"
    part.hardlink_to(own)
    assert flash("--out", tmp_path / "next.img", "--sha256", digest, image=own) == 2
    assert "next.img.part is the image itself" in capsys.readouterr().err
    assert hashlib.sha256(own.read_bytes()).hexdigest() == digest
    there = tmp_path / "there.img"
    there.write_bytes(b"old")
    assert flash("--out", there) == 2
    assert "is there already: --yes writes over it" in capsys.readouterr().err
    assert there.read_bytes() == b"old"
    assert flash("--device", own) == 2
    assert "is no disk: --out writes to a file" in capsys.readouterr().err
    assert flash("--out", there, "--yes") == 0
    assert there.stat().st_size == SIZE


def test_an_image_that_changes_meanwhile(
    flash: Any,
    images: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = tmp_path / "own.img"
    shutil.copy(images["cloud-init"], image)
    write_checksum(image)
    real = cards_run.write

    def change(*words: Any, **named: Any) -> str:
        with image.open("r+b") as file:
            file.seek(SIZE - 512)
            file.write(b"other")
        return real(*words, **named)

    monkeypatch.setattr(cards_run, "write", change)
    assert flash("--out", tmp_path / "kitchen.img", image=image) == 1
    assert "has changed while it was written: begin again" in capsys.readouterr().err
    assert not (tmp_path / "kitchen.img").exists()


def test_a_killed_flash_leaves_no_image(
    images: dict[str, Path], tmp_path: Path, ssh_key: Path, wifi_file: Path
) -> None:
    out, rolls = tmp_path / "kitchen.img", random.Random(3)
    command = [sys.executable, "-m", "becomingone", "provision", "flash", "--image", str(images["cloud-init.xz"])]
    command += ["--node", "kitchen", "--cell-dir", str(tmp_path), "--ssh-key", str(ssh_key), "--out", str(out)]
    command += ["--wifi-file", str(wifi_file)]
    part = tmp_path / "kitchen.img.part"
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 60
            wanted = rolls.randrange(1, 2 << 20)
            # Blocks and not length: the file has its length at once.
            while not (part.exists() and part.stat().st_blocks * 512 >= wanted) and process.poll() is None:
                assert time.monotonic() < end
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
        if process.returncode == 0:
            out.unlink()  # it was faster than the kill
            continue
        assert not out.exists()
        left = [path for path in tmp_path.iterdir() if path.name not in (ssh_key.name, wifi_file.name)]
        assert left in ([], [part])
        assert not left or part.stat().st_mode & 0o777 == 0o600
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    assert out.exists()
    assert not part.exists()


def test_a_boot_partition_without_room(
    flash: Any, images: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = tmp_path / "becomingone-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("becomingone-1.0.dist-info/METADATA", "")
        archive.writestr("large", random.Random(4).randbytes(40 << 20))
    assert flash("--out", tmp_path / "kitchen.img", "--wheel", wheel) == 1
    assert re.search(r"trixie\.img\.xz: becomingone/becomingone-1\.0\S+: Disk full", capsys.readouterr().err)
    assert not (tmp_path / "kitchen.img").exists()


@pytest.mark.slow
def test_gpt(flash: Any, tmp_path: Path) -> None:
    image = pack(make_image(tmp_path / "gpt.img", CLOUD_INIT, gpt=True))
    assert flash("--out", tmp_path / "kitchen.img", image=image) == 0
    check_file_systems(tmp_path / "kitchen.img", tmp_path)
    assert "becomingone/install.sh" in boot_names(tmp_path / "kitchen.img")
