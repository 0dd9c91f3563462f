"""A pin factory for a node that is a process of its own: gpiozero's mock, which writes every change to a file.

A line is ``<monotonic ns> <GPIO> <level or duty cycle>``; Linux's monotonic clock is one for all processes.
"""

from __future__ import annotations

import os
import time

from gpiozero.pins.mock import MockFactory, MockPWMPin

LOG = "LOGGED_PINS"


class LoggedPin(MockPWMPin):
    def _change_state(self, value):
        changed = super()._change_state(value)
        if changed:
            line = f"{time.monotonic_ns()} {self.info.name.removeprefix('GPIO')} {float(value)}\n"
            os.write(self.factory.log, line.encode())
        return changed


class LoggedFactory(MockFactory):
    def __init__(self):
        self.log = os.open(os.environ[LOG], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        super().__init__(pin_class=LoggedPin)
