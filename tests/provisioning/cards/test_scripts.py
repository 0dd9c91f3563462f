"""The scripts of a first boot, run in a folder that stands for the machine, with stand-ins for its programs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from becomingone.provisioning.cards.first_boot import BootFile, FirstBoot, Installed
from becomingone.provisioning.cards.firstrun import firstrun_files, firstrun_words
from becomingone.provisioning.cards.install_script import install_files
from becomingone.provisioning.cards.payload import software_payload
from becomingone.provisioning.cards.style import with_words
from becomingone.provisioning.cards.wifi import Wifi

from .conftest import KEY
from .images import CMDLINE, needs

PAYLOAD = (
    Installed("tls_key", "/etc/credstore/becomingone.tls_key", 0o600, b"the key"),
    Installed("node.yaml", "/etc/becomingone/node.yaml", 0o644, b"node: kitchen\n"),
)
WIFI = Wifi.model_validate({"ssid": "Example Net", "password": "correct horse", "country": "GB"})
FIRST = FirstBoot(
    hostname="kitchen",
    user="anna",
    ssh_keys=(KEY, KEY.replace("anna@desk", 'it\'s "me" $(touch hacked)')),
    instance_id="i",
    interfaces=("i2c",),
    wifi=WIFI,
    timezone="Europe/Berlin",
    locale="de_DE.UTF-8",
    payload=PAYLOAD,
)
NETWORK = "network:\n  wifis: {wlan0: {}}\n"

# Every stand-in writes down how it was called; these two answer, too.
_LOGGED = ("systemctl", "modprobe", "rfkill", "visudo", "hostname", "useradd", "usermod", "groupmod", "userconf")
_LOGGED += ("raspi-config",)
_ANSWERS = {
    "getent": 'case "$1 $2" in "passwd 1000") echo pi:x:1000:1000::/home/pi:/bin/bash;; '
    '"passwd anna") echo anna:x:1000:1000::/home/anna:/bin/bash;; "group i2c") exit 0;; *) exit 2;; esac'
}
_COUNTED = ("install", "mv", "rm", "touch", "shred", "sync", "sed", "usermod")


@dataclass
class Machine:
    """A boot partition, a root, and a PATH of stand-ins."""

    boot: Path
    root: Path
    bin: Path
    log: Path

    @classmethod
    def make(cls, folder: Path, files: list[BootFile]) -> Machine:
        made = cls(folder / "boot", folder / "root", folder / "bin", folder / "log")
        for file in files:
            path = made.boot / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
        made.bin.mkdir(exist_ok=True)
        for name in _LOGGED:
            made.stand_in(name, "exit 0")
        for name, text in _ANSWERS.items():
            made.stand_in(name, text)
        (made.root / "etc" / "netplan").mkdir(parents=True, exist_ok=True)
        (made.root / "etc" / "netplan" / "50-cloud-init.yaml").write_text(NETWORK)
        (made.root / "etc" / "hosts").write_text("127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi\n")
        return made

    def stand_in(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.log}"\n{text}\n')
        path.chmod(0o755)

    def kill_at(self, number: int) -> None:
        """Have the script die at the nth call of a program that changes something."""
        for name in _COUNTED:
            real = next(
                Path(folder) / name for folder in ("/usr/bin", "/bin", "/usr/sbin") if (Path(folder) / name).exists()
            )
            if name == "usermod":
                real = Path("/bin/true")
            text = (
                f'n=$(($(cat "{self.log}.n" 2>/dev/null || echo 0) + 1)); echo "$n" >"{self.log}.n"\n'
                f'[ "$n" -ne {number} ] || {{ kill -9 "$PPID"; exit 1; }}\n'
                f'[ "$n" -lt {number} ] || exec {real} "$@"\nexec {real} "$@"'
            )
            self.stand_in(name, text)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script of the boot partition."""
        environ = {"PATH": f"{self.bin}:/usr/bin:/bin:/usr/sbin", "ROOT": str(self.root)}
        return subprocess.run(
            ["sh", str(self.boot / script)], capture_output=True, text=True, env=environ, timeout=60, check=False
        )


def _install(folder: Path) -> Machine:
    machine = Machine.make(folder, install_files(FIRST, forget_network=True))
    (machine.boot / "network-config").write_text(NETWORK + "# secret key\n")
    return machine


def _check_installed(machine: Machine) -> None:
    key = machine.root / "etc/credstore/becomingone.tls_key"
    assert key.read_bytes() == b"the key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    assert (machine.root / "etc/becomingone/node.yaml").stat().st_mode & 0o777 == 0o644
    rule = machine.root / "etc/sudoers.d/010_becomingone"
    assert (rule.read_text(), rule.stat().st_mode & 0o777) == ("anna ALL=(ALL) NOPASSWD:ALL\n", 0o440)
    assert (machine.root / "etc/modules-load.d/becomingone.conf").read_text() == "i2c-dev\n"
    assert not list(machine.root.rglob("*.new"))


def test_install_puts_everything_and_takes_it_off_the_boot_partition(tmp_path: Path) -> None:
    machine = _install(tmp_path)
    done = machine.run("becomingone/install.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    _check_installed(machine)
    assert sorted(path.name for path in machine.boot.iterdir()) == ["becomingone.txt", "network-config"]
    assert (machine.boot / "becomingone.txt").read_text() == "done\n"
    assert (machine.boot / "network-config").read_text() == "config: disabled\n"
    calls = machine.log.read_text().splitlines()
    assert "systemctl enable ssh" in calls
    assert not [call for call in calls if "--now" in call]  # would wait for the network, which waits for this


def test_the_network_stays_where_it_has_not_been_taken(tmp_path: Path) -> None:
    machine = _install(tmp_path)
    (machine.root / "etc/netplan/50-cloud-init.yaml").unlink()
    assert machine.run("becomingone/install.sh").returncode == 0
    assert (machine.boot / "network-config").read_text() == NETWORK + "# secret key\n"


def _cut_and_again(folder: Path, number: int) -> bool:
    """Cut the power at the nth step and boot again; False when there are fewer steps."""
    machine = _install(folder)
    machine.kill_at(number)
    if machine.run("becomingone/install.sh").returncode == 0:
        return False
    again = Machine.make(folder, [])
    for name in _COUNTED:
        (machine.bin / name).unlink(missing_ok=True)
    if (machine.boot / "becomingone/install.sh").exists():
        second = again.run("becomingone/install.sh")
        assert second.returncode == 0, (number, second.stderr)
    _check_installed(machine)
    left = {path.name for path in machine.boot.rglob("*") if path.is_file()}
    assert left <= {"becomingone.txt", "network-config", "placed"}, number
    return True


@pytest.mark.parametrize("number", [4, 13, 17, 21])
def test_a_power_cut_is_mended_by_the_next_boot(tmp_path: Path, number: int) -> None:
    assert _cut_and_again(tmp_path, number)


@pytest.mark.slow
def test_a_power_cut_at_any_step_is_mended_by_the_next_boot(tmp_path: Path) -> None:
    number = 1
    while _cut_and_again(tmp_path / str(number), number):
        number += 1
    assert number > 21


def test_a_step_that_fails_keeps_everything_for_the_next_boot(tmp_path: Path) -> None:
    machine = _install(tmp_path)
    (machine.root / "etc" / "becomingone").mkdir()
    (machine.root / "etc" / "becomingone" / "node.yaml.new").mkdir()
    (machine.root / "etc" / "becomingone" / "node.yaml.new" / "node.yaml").mkdir()
    machine.stand_in("visudo", "exit 1")
    done = machine.run("becomingone/install.sh")
    assert done.returncode == 1
    told = (machine.boot / "becomingone.txt").read_text()
    assert told.startswith("not done:\n")
    assert "/etc/becomingone/node.yaml could not be written" in told
    assert "the rule for sudo is not taken" in told
    assert not (machine.root / "etc/sudoers.d/010_becomingone").exists()
    assert (machine.boot / "becomingone/tls_key").exists()


def _firstrun(folder: Path) -> Machine:
    machine = Machine.make(folder, [*firstrun_files(FIRST), *install_files(FIRST, forget_network=False)])
    # As the image's own first boot leaves it: another disk id, its own word gone.
    cmdline = with_words(CMDLINE, firstrun_words(FIRST)).replace("8bae82fd", "0badcafe")
    (machine.boot / "cmdline.txt").write_text(cmdline.replace(" init=/usr/lib/raspberrypi-sys-mods/firstboot", ""))
    (machine.root / "usr/lib/userconf-pi").mkdir(parents=True)
    (machine.root / "usr/lib/userconf-pi/userconf").symlink_to(machine.bin / "userconf")
    # Nobody of that name is here: it is called without its owner.
    machine.stand_in("install", 'exec /usr/bin/install $(echo "$*" | sed "s/-[og] [a-z]*//g")')
    (machine.root / "var/lib/systemd/rfkill").mkdir(parents=True)
    (machine.root / "var/lib/systemd/rfkill/platform-3f300000.mmcnr:wlan").write_text("1")
    return machine


def test_firstrun(tmp_path: Path) -> None:
    machine = _firstrun(tmp_path)
    done = machine.run("firstrun.sh")
    assert done.returncode == 0, done.stderr
    _check_installed(machine)
    assert (machine.root / "etc/hostname").read_text() == "kitchen\n"
    assert (machine.root / "etc/hosts").read_text() == "127.0.0.1\tlocalhost\n127.0.1.1\tkitchen\n"
    keys = machine.root / "home/anna/.ssh/authorized_keys"
    assert keys.read_text() == "\n".join(FIRST.ssh_keys) + "\n"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert (machine.root / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Berlin")
    assert (machine.root / "var/lib/systemd/rfkill/platform-3f300000.mmcnr:wlan").read_text() == "0\n"
    calls = machine.log.read_text().splitlines()
    assert "userconf anna *" in calls
    assert "usermod -p * anna" in calls
    assert "usermod -aG i2c anna" in calls
    assert not [call for call in calls if call.startswith("usermod -aG gpio")]  # there is no such group here
    assert "raspi-config nonint do_wifi_country GB" in calls
    cmdline = (machine.boot / "cmdline.txt").read_text()
    assert cmdline == (
        "console=serial0,115200 console=tty1 root=PARTUUID=0badcafe-02 rootfstype=ext4 fsck.repair=yes rootwait quiet "
        "cfg80211.ieee80211_regdom=GB\n"
    )
    assert sorted(path.name for path in machine.boot.iterdir()) == ["becomingone.txt", "cmdline.txt", "ssh"]
    assert (machine.boot / "becomingone.txt").read_text() == "done\n"
    assert not list(tmp_path.rglob("hacked"))


def test_firstrun_boots_on_and_says_what_failed(tmp_path: Path) -> None:
    machine = _firstrun(tmp_path)
    machine.stand_in("raspi-config", "exit 1")
    machine.stand_in("visudo", "exit 1")
    assert machine.run("firstrun.sh").returncode == 0  # or systemd would not boot again
    told = (machine.boot / "becomingone.txt").read_text()
    assert "the country of the wireless network" in told
    assert "the locale" in told
    assert "the rule for sudo is not taken" in told
    assert "systemd.run" not in (machine.boot / "cmdline.txt").read_text()


@pytest.mark.parametrize("wheel", [False, True])
def test_shells_find_no_fault_with_them(tmp_path: Path, wheel: bool) -> None:
    needs("shellcheck", "bash")
    first = FIRST
    if wheel:
        import zipfile  # noqa: PLC0415

        path = tmp_path / "becomingone-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("becomingone-1.0.dist-info/METADATA", "")
        first = FirstBoot(
            hostname="kitchen",
            user="anna",
            ssh_keys=(KEY,),
            instance_id="i",
            payload=software_payload(path, "kitchen"),
            software="becomingone-software.service",
        )
    files = [*firstrun_files(first), *install_files(first, forget_network=True)]
    scripts = [file for file in files if file.name.endswith(".sh")]
    assert len(scripts) == 2 + wheel
    for file in scripts:
        path = tmp_path / file.name.replace("/", "-")
        path.write_bytes(file.content)
        for command in (["bash", "-n"], ["sh", "-n"], ["shellcheck", "-S", "style", "-e", "SC2016"]):
            done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
