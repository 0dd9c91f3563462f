"""TCP ports of this machine."""

from __future__ import annotations

import contextlib
import socket


def port_is_free(host: str, port: int) -> bool:
    """Tell whether a TCP port can be listened on just now; port 0 always can.

    Parameters
    ----------
    host : str
        An IP address of this machine.
    port : int
        0..65535.
    """
    with contextlib.closing(socket.socket(_family(host))) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host: str) -> int:
    """Give a TCP port that nobody listens on just now; `host` is an IP address of this machine."""
    with contextlib.closing(socket.socket(_family(host))) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
