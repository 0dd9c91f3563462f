"""What crosses MQTT: topics, frames, commands and announcements, as pure values and bytes."""
