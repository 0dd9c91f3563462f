"""Many channels of one band: brought to one instant, weighed, taken together, robustly; and what couples them."""
