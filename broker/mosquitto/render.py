"""Mosquitto's configuration file, made from ours: mosquitto.conf(5) of 2.0 and of 2.1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from becomingone.broker.config import BrokerConfig
from becomingone.broker.mosquitto.bridge import bridge_lines
from becomingone.broker.mosquitto.lines import Line, text_of
from becomingone.broker.mosquitto.program import Mosquitto
from becomingone.broker.sections import ListenerSection
from becomingone.errors import ConfigError

HEAD: Final = "# Made from the broker's configuration, anew at every start and reload: what is changed here is lost."


@dataclass(frozen=True, slots=True)
class Files:
    """Where the broker's own files are.

    Parameters
    ----------
    folder : Path
        A folder that nobody else may enter.
    """

    folder: Path

    @property
    def configuration(self) -> Path:
        """What Mosquitto is started with."""
        return self.folder / "mosquitto.conf"

    @property
    def access(self) -> Path:
        """Who may read and write what."""
        return self.folder / "access"

    @property
    def passwords(self) -> Path:
        """Who logs in with which password, hashed."""
        return self.folder / "passwords"


def configuration(config: BrokerConfig, mosquitto: Mosquitto, files: Files, *, user: str | None = None) -> str:
    """Render the configuration.

    Parameters
    ----------
    config : BrokerConfig
        What is wanted; no listener's port is 0.
    mosquitto : Mosquitto
        Which it is for.
    files : Files
        Where its other files are.
    user : str or None
        The user to stay, where the broker is started by root: it could not read its files as another one.

    Raises
    ------
    ConfigError
        A path holds a line break, or another character that does not belong in a line; or ``nodes: any`` is asked of
        Mosquitto 2.0.
    """
    if config.identities.nodes == "any" and not mosquitto.is_2_1:
        # Seen with 2.0.11 and 2.0.21: it puts a/b into a pattern as two levels, which 2.1.2 refuses to.
        msg = (
            f"identities.nodes: any takes Mosquitto 2.1: with {mosquitto.name} a certificate whose name holds a slash "
            "reaches another node's branch; name the nodes"
        )
        raise ConfigError(msg)
    limits = config.limits
    anonymous = [config.login_of(listener) == "anonymous" for listener in config.listeners]
    # 2.0 can let clients in without a name on one listener only by setting everything anew for each.
    per_listener = any(anonymous) and not all(anonymous) and not mosquitto.is_2_1
    lines: list[Line] = [
        ("per_listener_settings", True) if per_listener else None,
        ("user", user) if user is not None else None,
        None if per_listener else ("allow_anonymous", all(anonymous)),
        *([] if per_listener or all(anonymous) else _rules(config, files)),
        *_persistence(config, mosquitto, files),
        ("max_packet_size", limits.packet_bytes),
        ("max_keepalive", limits.keepalive_s),
        ("max_inflight_messages", limits.in_flight),
        ("max_queued_messages", limits.queued),
        ("max_queued_bytes", limits.queued_bytes),
        ("memory_limit", limits.memory_bytes),
        ("persistent_client_expiration", f"{limits.session_days}d"),
        ("retain_expiry_interval", 1) if mosquitto.is_2_1 else None,
        ("set_tcp_nodelay", True),
        ("sys_interval", config.sys_interval_s),
        ("connection_messages", True),
        ("log_dest", "stderr"),
        ("log_timestamp", False),
        *(("log_type", kind) for kind in ("error", "warning", "notice", "information")),
    ]
    for listener in config.listeners:
        lines += _listener(config, listener)
        if config.login_of(listener) == "anonymous" and not all(anonymous):
            lines.append(("allow_anonymous" if per_listener else "listener_allow_anonymous", True))
        elif per_listener:
            lines += [("allow_anonymous", False), *_rules(config, files)]
    for bridge in config.bridges:
        lines += bridge_lines(config, bridge)
    return text_of(HEAD, lines)


def _rules(config: BrokerConfig, files: Files) -> list[Line]:
    """Say where the rules and passwords are; a listener with neither would let anybody do anything."""
    lines: list[Line] = [("acl_file", files.access)]
    if config.passwords or config.password_file:
        lines.append(("password_file", config.password_file or files.passwords))
    return lines


def _persistence(config: BrokerConfig, mosquitto: Mosquitto, files: Files) -> list[Line]:
    every_s = config.persistence.every_s
    if not config.persistence.enabled:
        return [("persistence", False)]
    if mosquitto.sqlite is not None:
        return [
            ("persistence_location", f"{files.folder}/"),
            ("global_plugin", mosquitto.sqlite),
            ("plugin_opt_flush_period", every_s),
        ]
    return [
        ("persistence", True),
        ("persistence_location", f"{files.folder}/"),
        ("autosave_on_changes", every_s == 0),
        ("autosave_interval", every_s or 1),
    ]


def _listener(config: BrokerConfig, listener: ListenerSection) -> list[Line]:
    login = config.login_of(listener)
    lines: list[Line] = [
        None,
        ("listener", f"{listener.port} {listener.address}"),
        ("protocol", "websockets") if listener.transport == "websockets" else None,
        ("max_connections", config.limits.connections),
    ]
    if listener.tls and config.tls is not None:
        lines += [
            ("certfile", config.tls.certificate),
            ("keyfile", config.tls.key),
            ("tls_version", f"tlsv{config.tls.version}"),
        ]
        if login == "certificate":
            lines += [
                ("cafile", config.tls.ca),
                ("crlfile", config.tls.revoked) if config.tls.revoked is not None else None,
                ("require_certificate", True),
                ("use_identity_as_username", True),
            ]
    if login != "anonymous":
        # Without it, whoever is let in can give another member's client identifier and end its session.
        lines.append(("use_username_as_clientid", True))
    return lines
