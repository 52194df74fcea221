"""The cases for each gateway: prompts, models and loads."""

import json
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gateway.gateways import Started
from benchmarks.gateway.load import Spec

# 200 characters that the classifier's first stage settles, and 69 that need its second.
PROMPT = (
    "Write a short story about a lighthouse keeper who finds a letter in a bottle, with a calm "
    "opening, a surprising middle and a warm ending, in about three hundred words and in the style "
    "of a fairy tale."
)
UNSURE = "What would you do with three old keys and a rainy afternoon in Ghent?"
LONG = (PROMPT + "\n") * 325


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table; ``model`` is among the keys of ``Started.models``.

    ``peers`` says whether other gateways run it, too: none of them classifies, so cases that differ
    only in this are for Turnout alone.
    """

    name: str
    model: str
    prompt: str = PROMPT
    load: dict[str, Any] = field(default_factory=dict)
    peers: bool = True

    def spec(self, gateway: Started, seconds: float) -> Spec:
        """The load of this case on a gateway."""
        load = {"seconds": seconds, **self.load}
        message = {"role": "user", "content": self.prompt}
        asked: dict[str, Any] = {"model": gateway.models[self.model], "messages": [message]}
        if load.get("stream"):
            asked["stream"] = True
        return Spec(
            port=gateway.port,
            path=gateway.path,
            headers=gateway.headers,
            body=json.dumps(asked),
            **load,
        )


def _plain() -> list[Case]:
    return [
        Case(
            name=f"{model} c{connections}",
            model=model,
            load={"connections": connections},
            peers=model == "pinned",
        )
        for connections in (1, 64)
        for model in ("pinned", "routed")
    ]


CASES = [
    *_plain(),
    Case(name="routed open 1000/s", model="routed", load={"rate": 1000.0}),
    Case(name="unsure c1", model="routed", prompt=UNSURE, peers=False),
    Case(name="pinned 64 kB c16", model="pinned", prompt=LONG, load={"connections": 16}),
    Case(
        name="routed 64 kB c16",
        model="routed",
        prompt=LONG,
        load={"connections": 16},
        peers=False,
    ),
    Case(name="stream first c1", model="routed", load={"stream": True}),
    Case(name="stream burst c16", model="pinned", load={"stream": True, "connections": 16}),
    Case(name="stream paced c100", model="paced", load={"stream": True, "connections": 100}),
]
