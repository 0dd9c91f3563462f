"""WE: two named groups of a cell that become one."""
