"""The wire family of OpenAI's Responses, by which alone some of its models are served.

Invariant: pure; a request that came as Responses goes on in its own words, others are translated.
Source: platform.openai.com/docs/api-reference/responses.
This module does not know connections, clocks or prices.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from turnout.catalog import Deployment
from turnout.core import Body, Chunk, Fault, Request
from turnout.providers.answer_body import bad_answer, read_answer
from turnout.providers.families import NativeCodec, chosen
from turnout.providers.fields import MISTYPED, Malformed
from turnout.providers.responses_answer import read_response
from turnout.providers.responses_native import native_body
from turnout.providers.responses_request import responses_body
from turnout.providers.responses_stream import ResponsesStreamDecoder
from turnout.providers.stream_decoder import interrupted
from turnout.providers.unsaid import unsaid_in_responses


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesCodec(NativeCodec):
    """The codec for one deployment."""

    _streams = ResponsesStreamDecoder
    _dialect = "responses"

    def decode(self, body: bytes) -> Chunk | Fault:
        """A whole answer, or the fault of a body that is none."""
        answer = read_answer(body, self._read, self.secrets)
        if isinstance(answer, Fault):
            return answer
        finish = answer.deltas[-1].finish_reason
        if finish is None:
            return interrupted("the provider gave the response before it had come to its end")
        if finish == "stop" and not answer.raw["output"]:
            return bad_answer("the answer holds no output")
        return answer

    def _read(self, payload: object) -> Chunk:
        try:
            return read_response(payload, self.mark)
        except MISTYPED as error:
            raise Malformed(str(error)) from error

    def _said(
        self, request: Request, native: Body | None, deployment: Deployment
    ) -> tuple[dict[str, Any], Iterable[str]]:
        if native is None:
            body = responses_body(request, deployment.model, self.mark)
            return body, unsaid_in_responses(request)
        trust, left_out = chosen(deployment, request), request.left_out
        return native_body(native, deployment.model, self.mark, left_out, trust=trust), ()
