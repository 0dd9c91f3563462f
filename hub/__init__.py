"""The hub: takes the frames of all nodes, aligns and synchronises them, publishes the mesh's state, drives outputs."""
