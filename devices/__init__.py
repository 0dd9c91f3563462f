"""Drop-in device modules, one file a device, and the small contract that they follow."""
