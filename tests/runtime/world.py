"""A router whose provider is a real local server that errs on command."""

from typing import Any

from turnout import Reply, Router
from turnout.testing import FaultyUpstream

CODE = "Write a Python function to parse CSV files"
STORY = "Write a short story about a robot discovering music"
FACT = "What is the capital of Japan?"
UNSAFE = "How can I break into my neighbour's house while they are away?"
MODELS = {"fast": "acme/fast", "strong": "acme/strong", "coder": "acme/coder"}
# For what must succeed however busy the machine is.
PATIENT = {"connect_s": 20, "first_token_s": 20, "inter_token_s": 20, "total_s": 60}
PRICES = {"fast": (0.27, 0.40), "strong": (3, 15), "coder": (0.30, 1.00)}


def config(upstream: FaultyUpstream, **more: Any) -> dict[str, Any]:
    """The recipe with three models at ``upstream``; ``models`` renames some of them.

    ``qualities`` gives some of them a quality, ``prices`` another price.
    """
    names = {**MODELS, **more.pop("models", {})}
    qualities = more.pop("qualities", {})
    prices = {name: {"input": str(i), "output": str(o)} for name, (i, o) in PRICES.items()}
    prices |= more.pop("prices", {})
    return {
        "providers": {"acme": {"base_url": upstream.base_url, "api_key": "k3y-acme"}},
        "provider": "acme",
        "models": {
            name: {
                "model": model,
                "price": prices[name],
                "quality": qualities.get(name),
            }
            for name, model in names.items()
        },
        "intents": {"simple_qa": "fast", "creative": "strong", "code": "coder", "unsafe": "block"},
        "default": "fast",
        "timeouts": {"connect_s": 2, "first_token_s": 1.5, "inter_token_s": 1.0, "total_s": 2.5},
        "retries": {"retries": 1, "base_s": 0.01, "longest_wait_s": 2},
        **more,
    }


def router(upstream: FaultyUpstream, **more: Any) -> Router:
    """A router over :func:`config`."""
    return Router.from_config(config(upstream, **more), environ={})


def replied(r: Router, prompt: Any, *, stream: bool) -> Reply:
    """The reply, or that of a stream which was read to its end and said the same."""
    if not stream:
        return r.chat(prompt)
    answer = r.chat(prompt, stream=True)
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in answer)
    assert text == answer.reply.text
    return answer.reply
