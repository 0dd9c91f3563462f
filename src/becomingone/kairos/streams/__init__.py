"""From what a sensor says to a stream that a channel can take: conditioned, and flagged where it is not whole."""
