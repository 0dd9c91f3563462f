"""The hub's memory: what is kept of frames, events and states, how it is proved whole, and what is made of it."""
