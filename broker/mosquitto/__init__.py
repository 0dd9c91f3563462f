"""Eclipse Mosquitto as a managed child: its configuration, its access list, its process."""
