"""``python -m becomingone`` is the command ``becomingone``."""

from becomingone.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
