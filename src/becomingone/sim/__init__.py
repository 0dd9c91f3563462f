"""The deterministic bench: virtual time and a simulated broker behind the same interfaces as the real ones."""
