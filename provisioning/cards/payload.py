"""What a card brings to its machine: the node's identity, or a token to get one with, and perhaps the software."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from becomingone.errors import ConfigError
from becomingone.provisioning.cards.first_boot import Installed
from becomingone.provisioning.cards.wifi import Wifi, connection_file

UNIT: Final = "becomingone-software.service"
_KEPT: Final = "/var/lib/becomingone-card"
_WHEEL: Final = re.compile(r"becomingone-(?P<version>[A-Za-z0-9.!+_]+)-py3-none-any\.whl")
_LARGEST: Final = 64 << 20

_SERVICE: Final = f"""\
# Made by: becomingone provision flash. Installs the wheel that was on the card, then takes itself away.
[Unit]
Description=BecomingONE: software from the card
Wants=network-online.target
After=network-online.target
ConditionPathExists={_KEPT}/software.sh
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/bin/sh {_KEPT}/software.sh
Restart=on-failure
RestartSec=60
TimeoutStartSec=2h

[Install]
WantedBy=multi-user.target
"""

_SOFTWARE: Final = """\
#!/bin/sh
# Made by: becomingone provision flash. Tried again every minute until it has worked.
set -eu
kept={kept}
release=/opt/becomingone/releases/{version}
if [ ! -e /opt/becomingone/current ]; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv python3-numpy python3-yaml \\
        python3-pydantic python3-cbor2 python3-paho-mqtt python3-cryptography python3-psutil
    rm -rf "$release"
    install -d -m 0755 /opt/becomingone/releases
    python3 -m venv --system-site-packages "$release"
    "$release/bin/pip" install "$kept/{wheel}[node]"
    ln -s "releases/{version}" /opt/becomingone/current.new
    mv -T /opt/becomingone/current.new /opt/becomingone/current
fi
become=/opt/becomingone/current/bin/becomingone
if [ -e /etc/becomingone/join.yaml ]; then
    "$become" provision join --config /etc/becomingone/join.yaml
fi
if [ -e /etc/becomingone/node.yaml ]; then
    unit=/etc/systemd/system/becomingone-{node}.service
    "$become" node unit /etc/becomingone/node.yaml >"$unit.new"
    mv "$unit.new" "$unit"
    systemctl daemon-reload
    systemctl enable --now "becomingone-{node}.service"
fi
systemctl disable becomingone-software.service
rm -rf "$kept"
"""


def identity_payload(files: Mapping[str, bytes], config: str, node_key: bytes) -> tuple[Installed, ...]:
    """Give a node's whole identity, made on the operator's machine.

    Parameters
    ----------
    files : mapping
        ``ca.crt``, ``tls.crt`` and ``tls.key``.
    config : str
        Its ``node.yaml``, which names its secrets and has none.
    node_key : bytes
        The key that it shares with the hub, 32 bytes.
    """
    return (
        Installed("ca.crt", "/etc/becomingone/tls/ca.crt", 0o644, files["ca.crt"]),
        Installed("node.crt", "/etc/becomingone/tls/node.crt", 0o644, files["tls.crt"]),
        Installed("tls_key", "/etc/credstore/becomingone.tls_key", 0o600, files["tls.key"]),
        Installed("node_key", "/etc/credstore/becomingone.node_key", 0o600, node_key.hex().encode() + b"\n"),
        Installed("node.yaml", "/etc/becomingone/node.yaml", 0o644, config.encode()),
    )


def token_payload(token: str, url: str | None) -> tuple[Installed, ...]:
    """Give what `becomingone provision join` needs.

    Parameters
    ----------
    token : str
        ``<node>.<token>.<fingerprint>``.
    url : str or None
        Where the enrolment server is, https; None: it is looked for by mDNS.
    """
    content = {"token": token} | ({"url": url} if url is not None else {})
    return (Installed("join.yaml", "/etc/becomingone/join.yaml", 0o600, yaml.safe_dump(content).encode()),)


def wifi_payload(wifi: Wifi, uuid: str) -> tuple[Installed, ...]:
    """Give the wireless network as NetworkManager's file, for images without cloud-init."""
    place = "/etc/NetworkManager/system-connections/becomingone-wifi.nmconnection"
    return (Installed("wifi.nmconnection", place, 0o600, connection_file(wifi, uuid).encode()),)


def software_payload(wheel: Path, node: str) -> tuple[Installed, ...]:
    """Give our wheel, and what installs it once there is a network.

    Raises
    ------
    ConfigError
        It is not our wheel.
    """
    match = _WHEEL.fullmatch(wheel.name)
    try:
        content = wheel.read_bytes() if wheel.stat().st_size <= _LARGEST else b""
        with zipfile.ZipFile(wheel) as archive:
            ours = any(re.fullmatch(r"becomingone-[^/]+\.dist-info/METADATA", name) for name in archive.namelist())
    except OSError as error:
        raise ConfigError(f"--wheel: {wheel}: {error.strerror or error}") from error
    except zipfile.BadZipFile:
        match, content, ours = None, b"", False
    if match is None or not ours or not content:
        raise ConfigError(f"--wheel: {wheel}: must be becomingone-VERSION-py3-none-any.whl, as pip wheel makes it")
    script = _SOFTWARE.format(kept=_KEPT, version=match["version"], wheel=wheel.name, node=node)
    return (
        Installed(wheel.name, f"{_KEPT}/{wheel.name}", 0o644, content),
        Installed("software.sh", f"{_KEPT}/software.sh", 0o644, script.encode()),
        Installed(UNIT, f"/etc/systemd/system/{UNIT}", 0o644, _SERVICE.encode()),
    )
