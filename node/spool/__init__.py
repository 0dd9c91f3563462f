"""The spool: frames on the node's disk until the hub has committed them, whatever becomes of power, card or process."""
