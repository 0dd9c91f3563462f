"""Real recordings, each in its own folder with its licence."""
