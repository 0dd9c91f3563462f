"""What ``becomingone up --scenario NAME`` starts: one YAML file a scenario."""
