"""Model names that script what an upstream does wrong: ``f-429-ra5``, ``f-reset@5-drip20ms``.

Invariant: a name means one script; an unknown word is an error that lists the known ones.
This module does not know sockets.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

POSITIONED = {
    "reset": "RST after k tokens",
    "cut": "FIN after k tokens, in the middle of the body",
    "stall": "silence after k tokens, until the peer gives up",
    "idle": "events without content after k tokens, until the peer gives up",
    "badchunk": "one event that is no JSON after k tokens",
    "badchunks": "two such events in a row after k tokens",
    "badhex": "a chunk size that is no number after k tokens",
    "error": "an error event inside the 200 stream after k tokens",
}
FLAGS = {
    "hang": "accepts the request and never answers",
    "empty": "an answer with no choices",
    "nousage": "no usage",
    "lateusage": "usage 50 ms after the finish reason, asked for or not",
    "nullusage": "usage: null",
    "negusage": "negative token counts",
    "wrongusage": "token counts that contradict each other",
    "cached": "half of the prompt counted as cached",
    "keeps": "what earlier prompts began with counted as cached, from 1,024 tokens on",
    "deepseek": "cache usage in DeepSeek's fields",
    "xai": "reasoning tokens outside completion_tokens",
    "parallel": "a call of every tool at once",
    "reason": "reasoning before the answer",
    "nodone": "no [DONE]",
    "nofinish": "no finish_reason",
    "html200": "an HTML page with status 200",
    "halfjson": "half of a JSON answer",
    "gzipbomb": "1 GiB of blanks in a small gzip",
    "fewer": "a vector less than there are inputs",
    "reversed": "the last input's vector first, each with its index",
    "hugeevent": "one event of 9 MiB",
    "hugeheader": "a header of 64 KiB",
    "badlength": "fewer bytes than Content-Length says",
    "extrabytes": "a second answer that nobody asked for",
    "redirect": "302 to /elsewhere",
    "crlf": "events with CRLF",
    "cr": "events with CR",
    "bom": "a byte order mark first",
    "comments": "comment lines between the events",
    "nospace": "no blank after the field name",
    "bytewise": "the body byte by byte",
    "billall": "bills the whole answer though the peer is gone",
    "costs": "says that it charged 0.02 dollars, as OpenRouter does",
    "byok": "says that it charged nothing, and the provider behind it 0.02 dollars",
    "othermodel": "says that another model answered",
    "quota": "the error text of an account without credit",
    "spend": "the error code of a spend limit",
    "context": "the error of a prompt that is too long",
    "filter": "the error of a content filter",
    "unsupported": "the error of a model that lacks what was asked",
    "picky": "refuses each temperature and top_p but 1",
    "unmarked": "refuses marks of caches (cache_control), as a field that it does not know",
    "usual": "refuses each effort but low, medium and high",
    "unverified": "refuses to sum up thoughts, as for an account that is not verified",
    "echokey": "the error text repeats the Authorization header",
    "plainerror": 'the error as {"error": "text"}',
    "flaterror": 'the error as {"message", "code"}',
    "detailerror": 'the error as {"detail": "text"}',
    "ragarbage": "a Retry-After that means nothing",
    "rahuge": "Retry-After: 1000000000",
}

_WORD = re.compile(
    r"(?P<status>[1-5]\d\d)"
    r"|(?P<wait>ra|radate|rams|rareset|spent|spentat)(?P<amount>\d+(?:\.\d+)?)?"
    r"|(?P<pace>slow|drip)(?P<time>\d+(?:\.\d+)?)(?P<unit>ms|s)"
    r"|(?P<place>[a-z]+)@(?P<at>\d+)"
    r"|fails=?(?P<fails>\d+)"
    r"|tokens(?P<tokens>\d+)"
    r"|(?P<flag>[a-z]+[0-9]*)"
)
_ALIASES = {"error-in-stream": "error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What goes wrong, and where.

    ``slow_s`` passes before the answer's head, ``drip_s`` before each token. ``at`` maps a fault
    to the number of tokens before it. ``fails`` is how often the script plays before answers are
    honest, None for always; ``tokens`` is the answer's length. ``wait`` is a form of Retry-After
    and its amount, or the seconds for which the head of a 200 says that nothing is left of a rate
    limit: ``spent`` in OpenAI's headers, ``spentat`` in Anthropic's.
    """

    status: int | None = None
    slow_s: float = 0.0
    drip_s: float = 0.0
    fails: int | None = None
    tokens: int | None = None
    wait: tuple[str, float] | None = None
    at: Mapping[str, int] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()

    def __contains__(self, flag: str) -> bool:
        return flag in self.flags


HONEST = Script()


def parse(model: str) -> Script:
    """The script in a model name; names that do not start with ``f-`` are honest.

    A path before the name (``vendor/f-500``) is ignored. Raises ValueError naming an unknown word.
    """
    name = model.rpartition("/")[2]
    if not name.startswith("f-"):
        return HONEST
    for alias, word in _ALIASES.items():
        name = name.replace(alias, word)
    return _script([_parsed_word(word) for word in name.split("-")[1:]])


def _parsed_word(word: str) -> Mapping[str, str]:
    match = _WORD.fullmatch(word)
    found = {k: v for k, v in match.groupdict().items() if v is not None} if match else {}
    known = found.get("flag", "hang") in FLAGS and found.get("place", "cut") in POSITIONED
    if not found or not known:
        names = ", ".join([*FLAGS, *(f"{fault}@k" for fault in POSITIONED)])
        raise ValueError(
            f"{word!r} is no fault; use a status, ra5, radate5, rams500, rareset5, spent5, "
            f"spentat5, slow2s, drip20ms, fails=2, tokens40, {names}"
        )
    return found


def _script(words: list[Mapping[str, str]]) -> Script:
    paces = {w["pace"]: _in_seconds(w["time"], w["unit"]) for w in words if "pace" in w}
    waits = [(w["wait"], float(w.get("amount", 1))) for w in words if "wait" in w]
    return Script(
        status=_int_of(words, "status"),
        slow_s=paces.get("slow", 0.0),
        drip_s=paces.get("drip", 0.0),
        fails=_int_of(words, "fails"),
        tokens=_int_of(words, "tokens"),
        wait=waits[0] if waits else None,
        at={w["place"]: int(w["at"]) for w in words if "place" in w},
        flags=frozenset(w["flag"] for w in words if "flag" in w),
    )


def _int_of(words: list[Mapping[str, str]], name: str) -> int | None:
    return next((int(word[name]) for word in words if name in word), None)


def _in_seconds(time: str, unit: str) -> float:
    return float(time) / (1000 if unit == "ms" else 1)
