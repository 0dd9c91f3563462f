"""W = G[W]: filters that observe their own innovations, and the layers that observe them."""
