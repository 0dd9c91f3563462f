"""From the mesh and from requests to commands for outputs and nodes."""
