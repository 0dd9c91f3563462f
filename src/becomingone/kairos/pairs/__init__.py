"""Every two channels: how their phases belong together, and whether that means anything."""
