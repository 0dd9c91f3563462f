"""Rules: from the state of the mesh to what outputs do, in a small language that cannot do anything else."""
