"""Joining: a node that has only a token gets an identity of its own."""
