"""The kernel: phase, coherence and synchronisation in numpy alone; no clock, no threads, no input or output."""
