"""The wire family of OpenAI's Responses, the only API that serves some of its models.

Invariant: pure; a request that came as Responses is passed on, all others are translated.
Source: platform.openai.com/docs/api-reference/responses.
This module does not know connections, clocks or prices.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from turnout.catalog import Deployment
from turnout.core import Chunk, Fault, Request
from turnout.providers.answer_body import bad_answer, interrupted
from turnout.providers.families import FamilyCodec, chosen
from turnout.providers.lost_fields import lost_in_responses
from turnout.providers.responses_answer import read_response
from turnout.providers.responses_native import native_body
from turnout.providers.responses_request import responses_body
from turnout.providers.responses_stream import ResponsesStreamDecoder


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesCodec(FamilyCodec):
    """The codec for one deployment."""

    _dialect = "responses"
    _path = "responses"
    _streams = ResponsesStreamDecoder

    def _read(self, payload: object) -> Chunk | Fault:
        answer = read_response(payload, self.mark)
        finish = answer.deltas[-1].finish_reason
        if finish is None:
            return interrupted("the provider sent a response that is not finished")
        if finish == "stop" and not answer.raw["output"]:
            return bad_answer("the answer holds no output")
        return answer

    def _body(
        self, request: Request, deployment: Deployment
    ) -> tuple[dict[str, Any], Iterable[str]]:
        native, model = request.native, deployment.model
        if native is None or request.dialect != self._dialect:
            return responses_body(request, model, self.mark), lost_in_responses(request)
        trust, left_out = chosen(deployment, request), request.left_out
        return native_body(native, model, self.mark, left_out, trust=trust), ()
