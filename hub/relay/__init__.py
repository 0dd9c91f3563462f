"""Cells within cells: sums handed up, and taken from below."""
