"""The machine's own watchdog, as systemd is told to feed it: the same words from a card, from Ansible and by hand."""

from __future__ import annotations

from typing import Final

MANAGER: Final = """\
# /etc/systemd/system.conf.d/becomingone-watchdog.conf
# The machine's own watchdog resets it when systemd hangs, or the kernel. A Raspberry Pi's counts to 15 s at most.
# In effect after: systemctl daemon-reexec
[Manager]
RuntimeWatchdogSec=14s
RebootWatchdogSec=2min
"""
