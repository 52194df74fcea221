"""The shells around the decision core: they await, they block, they record."""

from turnout.runtime.assemble import Assembly, assemble
from turnout.runtime.backends import Backend, Backends
from turnout.runtime.receipt import Receipt
from turnout.runtime.recorder import NoRecorder, Recorder
from turnout.runtime.reply import Reply
from turnout.runtime.router import Prompt, Router
from turnout.runtime.stream import BlockingStream, Stream

__all__ = [
    "Assembly",
    "Backend",
    "Backends",
    "BlockingStream",
    "NoRecorder",
    "Prompt",
    "Receipt",
    "Recorder",
    "Reply",
    "Router",
    "Stream",
    "assemble",
]
