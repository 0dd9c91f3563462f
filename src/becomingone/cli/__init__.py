"""The command line: one program, its subcommands imported only when they are asked for."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from becomingone.cli.exits import Exit
from becomingone.cli.parser import parse
from becomingone.errors import BecomingOneError, ConfigError, DeviceError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str or None
        The arguments; None takes the process's own.

    Returns
    -------
    int
        0 done, 1 failed, 2 bad input.
    """
    # We have no plugins of pydantic; it would look for them in every package that is installed, at every start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        return int(arguments.run(arguments))
    except BecomingOneError as error:
        if arguments.debug:
            traceback.print_exc()
        else:
            for line in str(error).splitlines():
                print(f"becomingone: {line}", file=sys.stderr)
        return Exit.BAD_INPUT if isinstance(error, ConfigError | DeviceError) else Exit.FAILED
    except KeyboardInterrupt:
        return Exit.FAILED
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        sys.stderr.close()
        return Exit.FAILED
