"""Whether the nodes of a band have become one: what is asked for, how it is tested, and what is said of it."""
