"""The MQTT fabric: the client link and the brokers behind it."""
