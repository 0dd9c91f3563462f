"""Master and Emissary: the same engine, slow and fast, and what follows from the two."""
