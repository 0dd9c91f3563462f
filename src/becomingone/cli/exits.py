"""What the program's exit codes mean."""

from enum import IntEnum


class Exit(IntEnum):
    """An exit code."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
