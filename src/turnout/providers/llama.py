"""One local model run by llama.cpp in this process, through xllamacpp.

Invariant: nothing is loaded before the first answer; only one thread calls an engine at a time.
This module does not know event loops.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from turnout.core import ConfigError
from turnout.providers.weights import Weights, verify

_CONTEXT_TOKENS = 4096

# Threads that spin while they wait collapse to a tenth of the speed next to other load.
_CALM_THREADS = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
_REPEAT_PENALTY = 1.1
# What the model's card advises (huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct), and a cap
# without which a small model may go on until its context is full.
_DEFAULTS: Mapping[str, Any] = {"temperature": 0.2, "top_p": 0.9}
_DEFAULT_MAX_TOKENS = 512
_SILENT = -1
# A cancelled request stops reading its prompt at the next batch.
_PROMPT_BATCH_TOKENS = 128

Emit = Callable[[Mapping[str, Any]], bool]


class LlamaEngine:
    """Answers chat requests with one model file."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._server: Any = None

    def generate(
        self, body: Mapping[str, Any], emit: Emit, is_cancelled: Callable[[], bool]
    ) -> None:
        """Streams the answer to ``body`` (OpenAI's shape) as chunks into ``emit``.

        ``emit`` stops the answer by returning True; while the prompt is read, ``is_cancelled`` is
        asked after each batch of it. Errors in the request come as a chunk with an ``error``.
        Raises ConfigError where the model cannot be loaded.
        """
        server = self._loaded()

        def on_chunk(chunk: Mapping[str, Any]) -> bool:
            if "prompt_progress" in chunk:
                return is_cancelled()
            return emit(_clean(chunk, self._weights.name))

        try:
            server.handle_chat_completions(_request(body), on_chunk)
        except (ValueError, RuntimeError) as error:
            fault = {"message": str(error), "type": "invalid_request_error", "code": 400}
            emit({"error": fault})

    def _loaded(self) -> Any:
        if self._server is None:
            verify(self._weights)
            self._server = self._load()
        return self._server

    def _load(self) -> Any:
        for name, value in _CALM_THREADS.items():
            os.environ.setdefault(name, value)
        try:
            import xllamacpp
        except ImportError as error:
            raise ConfigError(
                "the embedded model needs xllamacpp; run: pip install xllamacpp"
            ) from error
        try:
            return xllamacpp.Server(self._parameters(xllamacpp.CommonParams()))
        except (ValueError, RuntimeError) as error:
            raise ConfigError(
                f"llama.cpp cannot load {self._weights.path}; is it a GGUF chat model?"
            ) from error

    def _parameters(self, params: Any) -> Any:
        params.model.path = str(self._weights.path)
        params.n_ctx = _CONTEXT_TOKENS
        params.n_parallel = 1
        params.n_batch = params.n_ubatch = _PROMPT_BATCH_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = default_threads()
        params.sampling.penalty_repeat = _REPEAT_PENALTY
        if self._weights.chat_template is not None:
            params.chat_template = self._weights.chat_template
        params.cache_ram_mib = 0
        params.warmup = False
        params.verbosity = _SILENT
        params.offline = True
        _lock_listener(params)
        return params


def default_threads() -> int:
    """One thread less than there are cores for this process, and at least one."""
    # macOS does not tell which cores a process may use.
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, cores - 1)


def _lock_listener(params: Any) -> None:
    """The server's own port cannot be turned off: loopback only, behind a key nobody knows."""
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [secrets.token_urlsafe(32)]
    params.ui = False
    params.endpoint_slots = False
    params.n_threads_http = 1


def _request(body: Mapping[str, Any]) -> dict[str, Any]:
    request = {**_DEFAULTS, **{k: v for k, v in body.items() if k != "model"}}
    if request.get("max_tokens") is None and request.get("max_completion_tokens") is None:
        request["max_tokens"] = _DEFAULT_MAX_TOKENS
    how = {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}
    return {**request, **how}


def _clean(chunk: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A chunk under the model's name, without the paths, timings and caches of this machine."""
    if "error" in chunk:
        return {"error": chunk["error"]}
    hidden = {"timings", "system_fingerprint"}
    kept = {key: value for key, value in chunk.items() if key not in hidden}
    usage = chunk.get("usage")
    if usage:
        kept["usage"] = {k: v for k, v in usage.items() if k != "prompt_tokens_details"}
    return {**kept, "model": name}
