"""SD cards: a stock image, written with what its first boot needs."""
