"""The names and addresses by which a machine calls itself."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
