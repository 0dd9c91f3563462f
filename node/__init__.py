"""The node agent: reads sensors, computes phase and coherence, publishes frames, obeys output commands."""
