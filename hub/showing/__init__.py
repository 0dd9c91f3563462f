"""What the hub shows: figures, snapshot, events, its own health."""
