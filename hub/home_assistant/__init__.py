"""Home Assistant's discovery: the cell and each of its nodes as a device with what they publish as plain text."""
