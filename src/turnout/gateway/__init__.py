"""The gateway: the decision core behind the APIs that people already call."""

from turnout.gateway.app import Gateway, Limits

__all__ = ["Gateway", "Limits"]
