"""The inventory: one file that describes a cell, and everything that is made from it."""
