"""The wire family of OpenAI's Responses, by which alone some of its models are served.

Invariant: pure; a request that came as Responses goes on in its own words, others are translated.
Source: platform.openai.com/docs/api-reference/responses.
This module does not know connections, clocks or prices.
"""

from dataclasses import dataclass
from typing import Any

from turnout.catalog import Deployment
from turnout.core import Body, Chunk, Fault, InvalidRequest, Request
from turnout.providers.answer_body import bad_answer, read_answer
from turnout.providers.families import MarkedCodec
from turnout.providers.openai_chat import dump, headers_of
from turnout.providers.openai_chunks import Malformed
from turnout.providers.protocol import WireRequest
from turnout.providers.responses_answer import read_response
from turnout.providers.responses_native import native_body
from turnout.providers.responses_request import responses_body
from turnout.providers.responses_stream import ResponsesStreamDecoder
from turnout.providers.stream_decoder import interrupted
from turnout.providers.unsaid import unsaid_in_responses


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesCodec(MarkedCodec):
    """The codec for one deployment."""

    _streams = ResponsesStreamDecoder

    def encode(self, request: Request, deployment: Deployment, *, stream: bool) -> WireRequest:
        """The bytes that ask ``deployment`` to answer ``request``. Raises InvalidRequest."""
        native = request.native if request.dialect == "responses" else None
        try:
            body = self._body(request, native, deployment)
            unsaid = () if native is not None else tuple(unsaid_in_responses(request))
        except (AttributeError, LookupError, TypeError) as error:
            message = "a value in messages or tools has another type than the API gives it"
            raise InvalidRequest(f"{message}: {error}", field="messages") from error
        if stream:
            body["stream"] = True
        return WireRequest(
            url=f"{deployment.provider.base_url.rstrip('/')}/responses",
            body=dump(body),
            headers=headers_of(request, deployment.provider, stream=stream),
            unsaid=unsaid,
            translated=request.native is not None and native is None,
        )

    def decode(self, body: bytes) -> Chunk | Fault:
        """A whole answer, or the fault of a body that is none."""
        answer = read_answer(body, self._read, self.secrets)
        if isinstance(answer, Fault):
            return answer
        finish = answer.deltas[0].finish_reason
        if finish is None:
            return interrupted("the provider gave the response before it had come to its end")
        if finish == "stop" and not answer.raw["output"]:
            return bad_answer("the answer holds no output")
        return answer

    def _read(self, payload: object) -> Chunk:
        try:
            return read_response(payload, self.mark)
        except (AttributeError, LookupError, TypeError) as error:
            raise Malformed(str(error)) from error

    def _body(
        self, request: Request, native: Body | None, deployment: Deployment
    ) -> dict[str, Any]:
        if native is None:
            return responses_body(request, deployment.model, self.mark)
        names = frozenset({deployment.id, deployment.model})
        return native_body(native, request, deployment.model, names, self.mark)
