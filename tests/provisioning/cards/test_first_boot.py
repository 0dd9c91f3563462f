"""What a machine is to be, and the files of both ways to say it."""

from __future__ import annotations

import configparser
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from becomingone.errors import ConfigError
from becomingone.provisioning.cards.cloud_init import cloud_init_files, cloud_init_words
from becomingone.provisioning.cards.first_boot import FirstBoot, ssh_keys
from becomingone.provisioning.cards.payload import software_payload
from becomingone.provisioning.cards.style import with_settings, with_words
from becomingone.provisioning.cards.wifi import Wifi, connection_file

from .conftest import KEY
from .images import CMDLINE, CONFIG, needs


def first_boot(**changes: object) -> FirstBoot:
    given = {"hostname": "kitchen", "user": "anna", "ssh_keys": (KEY,), "instance_id": "becomingone-kitchen-00"}
    return FirstBoot(**(given | changes))  # type: ignore[arg-type]


def wifi(**changes: object) -> Wifi:
    return Wifi.model_validate({"ssid": "Example Net", "password": "correct horse", "country": "GB"} | changes)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"hostname": "living_room"}, "--hostname: 'living_room' must be"),
        ({"hostname": "-a"}, "--hostname: '-a' must be"),
        ({"hostname": "a" * 64}, "--hostname: "),
        ({"user": "root"}, "--user: 'root' must be"),
        ({"user": "anna;reboot"}, "--user: "),
        ({"ssh_keys": ()}, "--ssh-key: at least one public key is needed"),
        ({"timezone": "Europe/Atlantis"}, "--timezone: 'Europe/Atlantis' must be a time zone"),
        ({"timezone": "../../etc/shadow"}, "--timezone: "),
        ({"locale": "german"}, "--locale: 'german' must be like de_DE.UTF-8"),
    ],
)
def test_refused(change: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        first_boot(**change)


def test_ssh_keys(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text(f"# mine\n{KEY}\n\n{KEY.rpartition(' ')[0]}\n")
    assert ssh_keys(path) == (KEY, KEY.rpartition(" ")[0])
    for text, why in [
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            r"is a private key, which never leaves your machine: give .*key\.pub\.pub",
        ),
        ("", "has no public key"),
        (f"{KEY}\nssh-ed25519 AAAA anna\n", r"key\.pub:2: must be a public key"),
        ("ssh-rsa " + KEY.split()[1], r"key\.pub:1: must be a public key"),
        (f'command="sh" {KEY}', r"key\.pub:1: must be a public key"),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError, match=why):
            ssh_keys(path)
    with pytest.raises(ConfigError, match="No such file"):
        ssh_keys(tmp_path / "none")


def test_the_key_of_a_network_is_that_of_the_standard() -> None:
    # IEEE 802.11, J.4.2: the test vectors of the passphrase's mapping.
    assert (
        wifi(ssid="IEEE", password="password").key == "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"
    )
    assert wifi(ssid="ThisIsASSID", password="ThisIsAPassword").key == (
        "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"
    )
    assert wifi(security="wpa3").key == "correct horse"
    assert wifi(security="wpa2-wpa3").key == "correct horse"
    assert wifi(password="AB" * 32).key == "AB" * 32
    assert wifi(password=None, security="open").key is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"password": "short"}, "password must be 8 to 63 characters"),
        ({"password": "a" * 65}, "password must be 8 to 63 characters"),
        ({"password": "käsebrötchen"}, "password must be 8 to 63 characters"),
        ({"password": None}, "needs a password, or security: open"),
        ({"security": "open"}, "an open network has no password"),
        ({"password": "ab" * 32, "security": "wpa3"}, "64 hexadecimal digits are a WPA2 key"),
        ({"ssid": "ä" * 17}, "must be at most 32 bytes"),
        ({"ssid": "a\nb"}, "must have no control characters"),
        ({"country": "gb"}, "should match pattern"),
    ],
)
def test_refused_networks(change: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why) as refused:
        wifi(**change)
    assert "correct horse" not in str(refused.value)


def test_words_of_the_kernel() -> None:
    words = cloud_init_words(first_boot(wifi=wifi()))
    line = with_words(CMDLINE, words)
    assert line.startswith("console=serial0,115200 console=tty1 root=PARTUUID=8bae82fd-02 ")
    assert line.endswith(" ds=nocloud;i=becomingone-kitchen-00 cfg80211.ieee80211_regdom=GB\n")
    assert with_words(line, words) == line
    assert with_words(line, ["ds=nocloud;i=next"]).count("ds=") == 1
    serial = first_boot(interfaces=("serial",))
    assert "console=serial0" not in with_words(CMDLINE, [], without=serial.unwanted_words)
    assert line.count("\n") == 1


def test_settings_of_the_firmware() -> None:
    first = first_boot(interfaces=("i2c", "spi", "one_wire", "camera", "audio", "serial", "gpio"))
    text = with_settings(CONFIG, first.settings)
    assert text.startswith(CONFIG)
    added = text.removeprefix(CONFIG).split()
    # What is in force only on some boards, or a comment, is not in force.
    assert added == [
        "[all]",
        "#",
        "becomingone",
        "dtparam=i2c_arm=on",
        "dtparam=spi=on",
        "dtoverlay=w1-gpio",
        "enable_uart=1",
        "dtparam=watchdog=on",
    ]
    assert with_settings(text, first.settings) == text
    assert with_settings("", ["a=1"]) == "\n# becomingone\na=1\n"


SSIDS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8)
PASSWORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=63)


@settings(max_examples=60, deadline=None)
@given(ssid=SSIDS, password=PASSWORDS, security=st.sampled_from(["wpa2", "wpa2-wpa3", "wpa3"]), hidden=st.booleans())
def test_any_network_survives_its_file(ssid: str, password: str, security: str, hidden: bool) -> None:
    network = wifi(ssid=ssid, password=password, security=security, hidden=hidden)
    files = {file.name: file for file in cloud_init_files(first_boot(wifi=network))}
    read = yaml.safe_load(files["network-config"].content)["network"]["wifis"]["wlan0"]
    [(name, point)] = read["access-points"].items()
    assert name == ssid
    assert point.get("hidden", False) is hidden
    told = point["auth"] if security == "wpa3" else point
    assert told["password"] == network.key
    assert files["network-config"].secret
    keyfile = configparser.RawConfigParser(strict=True, delimiters=("=",), comment_prefixes=None)
    keyfile.read_string(connection_file(network, "0"))
    assert bytes(map(int, keyfile["wifi"]["ssid"].rstrip(";").split(";"))) == ssid.encode()
    # GKeyFile's escapes: \s a space, \\ a backslash.
    raw = next(line for line in connection_file(network, "0").splitlines() if line.startswith("psk=")).removeprefix(
        "psk="
    )
    assert not raw.startswith(" ")
    assert raw.replace("\\\\", "\0").replace("\\s", " ").replace("\0", "\\") == network.key


def test_user_data_has_no_secret_and_no_password() -> None:
    files = cloud_init_files(first_boot(wifi=wifi(), timezone="Europe/Berlin", locale="de_DE.UTF-8"))
    by_name = {file.name: file for file in files}
    data = yaml.safe_load(by_name["user-data"].content)
    assert by_name["user-data"].content.startswith(b"#cloud-config\n")
    assert data["hostname"] == "kitchen"
    assert data["ssh_pwauth"] is False
    assert data["users"] == [
        data["users"][0]
        | {"name": "anna", "lock_passwd": True, "ssh_authorized_keys": [KEY], "sudo": "ALL=(ALL) NOPASSWD:ALL"}
    ]
    assert b"correct horse" not in by_name["user-data"].content + by_name["network-config"].content
    assert not by_name["user-data"].secret
    assert yaml.safe_load(by_name["meta-data"].content) == {"instance-id": "becomingone-kitchen-00"}
    assert "network-config" not in {file.name for file in cloud_init_files(first_boot())}


def test_cloud_init_takes_user_data(tmp_path: Path) -> None:
    needs("cloud-init")
    path = tmp_path / "user-data"
    path.write_bytes(cloud_init_files(first_boot(timezone="Europe/Berlin", locale="de_DE.UTF-8"))[0].content)
    valid = _schema(path)
    assert valid.returncode == 0, valid.stdout + valid.stderr
    path.write_bytes(path.read_bytes() + b"hostnam: x\nusers: 3\n")
    assert _schema(path).returncode != 0


def _schema(path: Path) -> subprocess.CompletedProcess[str]:
    command = ["cloud-init", "schema", "--config-file", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "network",
    [
        wifi(),
        wifi(hidden=True, ssid='5 GHz: "käse" #1'),
        wifi(security="wpa3", password='a"b\\c: #d'),
        wifi(security="wpa2-wpa3", country="NO"),
        wifi(security="open", password=None, ssid="null"),
    ],
    ids=["wpa2", "hidden", "wpa3", "wpa2-wpa3", "open"],
)
def test_netplan_takes_the_network(tmp_path: Path, network: Wifi) -> None:
    needs("netplan")
    files = {file.name: file.content for file in cloud_init_files(first_boot(wifi=network))}
    made = yaml.safe_load(files["network-config"])
    made["network"]["renderer"] = "NetworkManager"  # as Raspberry Pi OS sets by itself
    path = tmp_path / "etc" / "netplan" / "50-cloud-init.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(made))
    path.chmod(0o600)
    netplan = shutil.which("netplan", path="/usr/sbin:/usr/bin")
    assert netplan is not None
    version = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "netplan.io"], capture_output=True, text=True, check=False
    )
    if network.security == "wpa3" and version.stdout.startswith("0."):
        pytest.skip("needs a netplan that knows SAE, 1.0 or newer: trixie has 1.1")
    done = subprocess.run(
        [netplan, "generate", "--root-dir", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    [keyfile] = (tmp_path / "run" / "NetworkManager" / "system-connections").glob("netplan-wlan0-*")
    text = keyfile.read_text()
    assert ("hidden=true" in text) is network.hidden
    if network.key is None:
        assert "psk=" not in text
    else:
        assert f"key-mgmt={'sae' if network.security == 'wpa3' else 'wpa-psk'}" in text
        assert "psk=" + network.key.replace("\\", "\\\\") in text


def test_only_our_wheel_is_taken(tmp_path: Path) -> None:
    wheel = tmp_path / "becomingone-1.2.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("becomingone-1.2.0.dist-info/METADATA", "Name: becomingone\n")
    payload = software_payload(wheel, "kitchen")
    assert [stat.filemode(one.mode) for one in payload] == ["?rw-r--r--"] * 3
    assert payload[0].content == wheel.read_bytes()
    script = payload[1].content.decode()
    assert "release=/opt/becomingone/releases/1.2.0\n" in script
    assert "becomingone-kitchen.service" in script
    for path, why in [
        (wheel.rename(tmp_path / "other-1.0-py3-none-any.whl"), "must be becomingone-VERSION"),
        (tmp_path / "none.whl", "No such file"),
    ]:
        with pytest.raises(ConfigError, match=why):
            software_payload(path, "kitchen")
    wheel.write_bytes(b"no zip")
    with pytest.raises(ConfigError, match="must be becomingone-VERSION"):
        software_payload(wheel, "kitchen")
