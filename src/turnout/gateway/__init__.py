"""The gateway: the decision core behind the APIs that people already call."""
