"""Every error that BecomingONE raises on purpose.

One root, whose children also inherit the builtin that fits, so that a caller may catch either. The message is one
line that a person can act on; the command line prints it without a traceback unless ``--debug`` is given.
"""

from __future__ import annotations


class BecomingOneError(Exception):
    """The root of all errors raised on purpose."""


class ConfigError(BecomingOneError, ValueError):
    """A configuration that cannot be used: names the file, the line, the field and what would be right."""


class KernelError(BecomingOneError, ValueError):
    """A parameter or a call of the kernel that has no meaning (τ ≤ 0, weights that sum to zero, ...)."""


class FrameError(BecomingOneError, ValueError):
    """Bytes that are not an acceptable frame, command or announcement.

    Parameters
    ----------
    reason : str
        A short fixed word (``"oversize"``, ``"not_finite"``, ...) under which the refusal is counted.
    detail : str
        What was found and what would be right.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TopicError(BecomingOneError, ValueError):
    """A topic, or a part of one, that the protocol does not allow."""


class LinkError(BecomingOneError, ConnectionError):
    """The MQTT link could not do what was asked, or the broker could not be reached or started."""


class DeviceError(BecomingOneError, RuntimeError):
    """A device module that breaks the contract (no ``Options``, no ``Device``, a bad kind, ...)."""


class DeviceBrokenError(DeviceError):
    """A device module that is there and of no use: its import fails or does not return, or it breaks the contract."""


class DeviceUnavailableError(BecomingOneError, OSError):
    """A device that is not there, or not now: the node marks it unavailable and tries again later."""


class MissingLibraryError(BecomingOneError, ImportError):
    """An optional library is not installed; the message holds the command that installs it."""


class ProvisioningError(BecomingOneError):
    """An identity, a card, an enrolment or a cell's files that could not be made; what was there before still is."""
