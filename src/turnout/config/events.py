"""The events in the log by which a gateway reports what became of a changed configuration.

Operators and ``turnout prove restart`` look for them.
"""

RELOADED = "configuration reloaded"
REFUSED = "the changed configuration is not used; the old one stays in force"
