"""What is held for a draft covers its verification, each model's part told."""

from typing import Any

from tests.runtime.cascades import cascade
from turnout.core import Bound
from turnout.runtime.bounds import bounds
from turnout.testing import FaultyUpstream

PROMPT = "word " * 1000
ANSWER_TOKENS = 50


def draft_bound(verify: dict[str, Any]) -> tuple[Bound, Bound]:
    """The most of the fast model's draft, and of its call alone."""
    with FaultyUpstream() as upstream, cascade(upstream, verify, ledger="off") as r:
        asked = {"max_tokens": ANSWER_TOKENS}
        plan = r.request(PROMPT, **asked), r.route(PROMPT, **asked), r.parts.means.rules.catalog
        return bounds(*plan, r.parts.means.verifier)["fast"], bounds(*plan)["fast"]


def test_a_verdict_reads_prompt_and_answer_once() -> None:
    """Twice as many tokens where quoting doubles them, and its own question."""
    draft, alone = draft_bound({"kind": "model", "model": "judge"})
    assert draft.parts is not None
    assert draft.parts["fast"] == alone
    assert 2000 < draft.parts["judge"].tokens <= 2 * alone.tokens + 300
    assert draft.tokens == alone.tokens + draft.parts["judge"].tokens


def test_a_model_that_verifies_its_own_draft_is_held_for_both() -> None:
    """In one part, since its budget pays both."""
    draft, alone = draft_bound({"kind": "model", "model": "fast"})
    assert draft.parts == {"fast": Bound(draft.cost_pico_usd, draft.tokens)}
    assert draft.tokens > 3 * alone.tokens
    assert draft.cost_pico_usd is not None
    assert alone.cost_pico_usd is not None
    assert draft.cost_pico_usd > alone.cost_pico_usd


def test_a_verification_without_a_call_holds_nothing_more() -> None:
    """What is read in the draft itself is paid already."""
    draft, alone = draft_bound({"kind": "logprobs", "at_least": 0.8})
    assert draft == alone
