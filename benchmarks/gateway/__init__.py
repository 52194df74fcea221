"""What a gateway adds to a call, for Turnout and for other gateways.

``upstream`` is a canned provider, ``load`` sends requests, ``gateways`` starts the gateways,
``measure`` runs one case and reads the process's own CPU time and memory, ``__main__`` runs all.
"""
