"""What a gateway adds to a call, for Turnout and for others beside it.

``upstream`` is a canned provider, ``load`` asks, ``gateways`` starts what is measured, ``measure``
runs one case and reads the process's own CPU time and memory, ``__main__`` runs them all.
"""
