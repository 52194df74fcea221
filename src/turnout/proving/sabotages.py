"""The sabotages of each proof: it must fail with them, or it proves nothing."""

from typing import Literal

Ledger = Literal["durability", "hold"]
Budget = Literal["no-hold", "no-release"]
Isolation = Literal["foreign-ids", "crossed-replies"]
Billing = Literal["extra-calls", "wrong-price"]
Streams = Literal["clean-end", "no-fallback"]
Storm = Literal["no-budget"]
Restart = Literal["abrupt", "taken"]
Soak = Literal["leak"]
