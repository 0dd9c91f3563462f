"""Temporal resonance at any lags and cycle frequencies, and the one tone that explains a record best."""
