"""How each coding agent is pointed at the gateway: by variables and arguments, without files.

Invariant: this table and docs/gateway-clients.md say the same. This module starts nothing.
"""

from collections.abc import Callable, Mapping, Sequence

import orjson
from msgspec import Struct


class Gateway(Struct, frozen=True, kw_only=True):
    """The gateway's address (without ``/v1``), the caller's key, and the model to ask for."""

    root: str
    key: str
    model: str

    @property
    def base_url(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"{self.root}/v1"


class Setup(Struct, frozen=True, kw_only=True):
    """What a run of an agent needs: variables to set and to unset, and first arguments."""

    environ: Mapping[str, str]
    without: frozenset[str] = frozenset()
    arguments: Sequence[str] = ()


class Agent(Struct, frozen=True):
    """A coding agent: its command, how to install it, and how it is pointed at the gateway."""

    command: str
    install: str
    setup: Callable[[Gateway], Setup]


def _claude(gateway: Gateway) -> Setup:
    variables = ("MODEL", "DEFAULT_OPUS_MODEL", "DEFAULT_SONNET_MODEL", "DEFAULT_HAIKU_MODEL")
    return Setup(
        environ={
            "ANTHROPIC_BASE_URL": gateway.root,
            "ANTHROPIC_AUTH_TOKEN": gateway.key,
            **{f"ANTHROPIC_{name}": gateway.model for name in variables},
            "CLAUDE_CODE_GATEWAY_HINT_HEADERS": "1",
        },
        # It would be sent in place of the token.
        without=frozenset({"ANTHROPIC_API_KEY"}),
    )


def _codex(gateway: Gateway) -> Setup:
    settings = {
        "model": gateway.model,
        "model_provider": "turnout",
        "web_search": "disabled",
        "model_providers.turnout.name": "Turnout",
        "model_providers.turnout.base_url": gateway.base_url,
        "model_providers.turnout.wire_api": "responses",
        "model_providers.turnout.env_key": "TURNOUT_KEY",
    }
    # A string of JSON is one of TOML.
    options = [("-c", f"{name}={orjson.dumps(value).decode()}") for name, value in settings.items()]
    return Setup(
        environ={"TURNOUT_KEY": gateway.key},
        arguments=[word for pair in options for word in pair],
    )


def _opencode(gateway: Gateway) -> Setup:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Turnout",
        "options": {"baseURL": gateway.base_url, "apiKey": gateway.key},
        "models": {gateway.model: {}},
    }
    model = f"turnout/{gateway.model}"
    config = {"provider": {"turnout": provider}, "model": model, "small_model": model}
    return Setup(environ={"OPENCODE_CONFIG_CONTENT": orjson.dumps(config).decode()})


def _aider(gateway: Gateway) -> Setup:
    return Setup(
        environ={"OPENAI_API_BASE": gateway.base_url, "OPENAI_API_KEY": gateway.key},
        arguments=("--model", f"openai/{gateway.model}"),
    )


def _qwen(gateway: Gateway) -> Setup:
    return Setup(
        environ={
            "OPENAI_BASE_URL": gateway.base_url,
            "OPENAI_API_KEY": gateway.key,
            "OPENAI_MODEL": gateway.model,
        }
    )


AGENTS: Mapping[str, Agent] = {
    "claude": Agent("claude", "npm install -g @anthropic-ai/claude-code", _claude),
    "codex": Agent("codex", "npm install -g @openai/codex", _codex),
    "opencode": Agent("opencode", "npm install -g opencode-ai", _opencode),
    "aider": Agent("aider", "pip install aider-chat", _aider),
    "qwen": Agent("qwen", "npm install -g @qwen-code/qwen-code", _qwen),
}
