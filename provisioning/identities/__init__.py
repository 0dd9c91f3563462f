"""Identities: the cell's certificate authority, its secrets, and the certificates of all members."""
