"""The three files that cloud-init reads from the boot partition.

Sources: cloud-init's manual (NoCloud, module reference, network configuration 2), and what Raspberry Pi OS has there.
Only keys that cloud-init itself knows are used; of those that Raspberry Pi OS adds (``enable_ssh``, ``rpi``) the
file ``ssh`` and lines of ``config.txt`` take the place, because they work in every release.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from becomingone.provisioning.cards.first_boot import GROUPS, BootFile, FirstBoot
from becomingone.provisioning.cards.wifi import Wifi

INSTALL: Final = "/boot/firmware/becomingone/install.sh"


def cloud_init_files(first: FirstBoot) -> list[BootFile]:
    """Write ``user-data``, ``meta-data`` and, where there is a network to join, ``network-config``.

    ``user-data`` has no secret in it: it stays on the boot partition, and a copy on the root partition. What is secret
    is in the folder beside it, which the first boot empties. It does so by ``bootcmd`` and not by ``runcmd``: that one
    is not run again when the power fails in the middle of it.
    """
    files = [
        BootFile("user-data", b"#cloud-config\n" + _dumped(_user_data(first))),
        BootFile("meta-data", _dumped({"instance-id": first.instance_id})),
        BootFile("ssh", b""),
    ]
    if first.wifi is not None:
        files.append(BootFile("network-config", _dumped(_network(first.wifi)), secret=first.wifi.key is not None))
    return files


def cloud_init_words(first: FirstBoot) -> list[str]:
    """Give the words for the kernel's command line; the instance there goes before that of ``meta-data``."""
    words = [f"ds=nocloud;i={first.instance_id}"]
    if first.wifi is not None:
        words.append(f"cfg80211.ieee80211_regdom={first.wifi.country}")
    return words


def _user_data(first: FirstBoot) -> dict[str, Any]:
    data: dict[str, Any] = {"hostname": first.hostname, "manage_etc_hosts": True, "ssh_pwauth": False}
    if first.timezone is not None:
        data["timezone"] = first.timezone
    if first.locale is not None:
        data["locale"] = first.locale
    data["users"] = [
        {
            "name": first.user,
            "groups": GROUPS,
            "shell": "/bin/bash",
            "lock_passwd": True,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": list(first.ssh_keys),
        }
    ]
    data["bootcmd"] = [["sh", "-c", f"[ ! -e {INSTALL} ] || sh {INSTALL}"]]
    return data


def _network(wifi: Wifi) -> dict[str, Any]:
    point: dict[str, Any] = {}
    if wifi.hidden:
        point["hidden"] = True
    if wifi.key is not None:
        # `password` alone lets netplan offer both, WPA2 and WPA3; without WPA2 it has to be said.
        point.update(
            {"auth": {"key-management": "sae", "password": wifi.key}}
            if wifi.security == "wpa3"
            else {"password": wifi.key}
        )
    return {
        "network": {
            "version": 2,
            "ethernets": {"eth0": {"dhcp4": True, "optional": True}},
            "wifis": {
                "wlan0": {
                    "dhcp4": True,
                    "optional": True,
                    "regulatory-domain": wifi.country,
                    "access-points": {wifi.ssid: point},
                }
            },
        }
    }


def _dumped(content: dict[str, Any]) -> bytes:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=4096).encode()
