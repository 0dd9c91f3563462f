"""The mesh from tick to tick: the table of all channels, their weights, each band evaluated, who is trusted."""
