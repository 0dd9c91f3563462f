"""Provisioning: identities, the inventory, cards and joining: from a blank card to a node in the mesh."""
