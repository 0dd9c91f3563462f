"""What the hub serves over HTTP: whether it is well, its figures for Prometheus."""
