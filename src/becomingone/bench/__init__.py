"""Benchmarks: what we are held against, measured beside us in the same run. Never part of the tests."""
