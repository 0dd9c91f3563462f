"""Identities, SD-card images and inventories: still empty; its issue fills it."""
