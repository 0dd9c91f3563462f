"""Configuration: YAML for people, pydantic inside, read once at the edge."""
