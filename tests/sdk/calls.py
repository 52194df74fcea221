"""Runs in an environment with openai 3 and anthropic 2: prints what each call gave as JSON.

``python calls.py ROOT_URL``; imports nothing of Turnout.
"""

import asyncio
import json

from cases import MESSAGES, PROMPT, SCHEMA, TOO_LONG, TOOLS, raised, run


def _openai(root):
    import openai

    return openai.OpenAI(base_url=root + "/v1", api_key="unused-key", max_retries=0)


def _anthropic(root):
    import anthropic

    return anthropic.Anthropic(base_url=root, api_key="unused-key", max_retries=0)


def openai_chat(root):
    answer = _openai(root).chat.completions.create(model="auto", messages=MESSAGES)
    assert answer.usage.total_tokens > 0
    return {"text": answer.choices[0].message.content, "model": answer.model}


def openai_stream(root):
    stream = _openai(root).chat.completions.create(
        model="auto", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[-1].usage.total_tokens > 0
    return {"text": "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)}


def openai_async(root):
    import openai

    async def call():
        async with openai.AsyncOpenAI(base_url=root + "/v1", api_key="unused-key") as client:
            answer = await client.chat.completions.create(model="auto", messages=MESSAGES)
            return {"text": answer.choices[0].message.content}

    return asyncio.run(call())


def openai_async_stream(root):
    import openai

    async def call():
        async with openai.AsyncOpenAI(base_url=root + "/v1", api_key="unused-key") as client:
            stream = await client.chat.completions.create(
                model="auto", messages=MESSAGES, stream=True
            )
            return {"text": "".join([c.choices[0].delta.content or "" async for c in stream])}

    return asyncio.run(call())


def openai_tools(root):
    client = _openai(root)
    with client.chat.completions.stream(model="auto", messages=MESSAGES, tools=TOOLS) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    return _calls(final)


def openai_parallel(root):
    answer = _openai(root).chat.completions.create(model="parallel", messages=MESSAGES, tools=TOOLS)
    return _calls(answer)


def openai_parallel_stream(root):
    client = _openai(root)
    with client.chat.completions.stream(model="parallel", messages=MESSAGES, tools=TOOLS) as s:
        for _ in s:
            pass
        return _calls(s.get_final_completion())


def openai_loop(root):
    """A whole tool loop: the call goes back with its result, and the answer is text."""
    client = _openai(root)
    first = client.chat.completions.create(model="auto", messages=MESSAGES, tools=TOOLS)
    said = first.choices[0].message
    result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "sunny, nonce: n3"}
    again = [*MESSAGES, said.model_dump(exclude_none=True), result]
    answer = client.chat.completions.create(model="auto", messages=again, tools=TOOLS)
    return {"text": answer.choices[0].message.content}


def openai_parse(root):
    import pydantic

    class Weather(pydantic.BaseModel):
        city: str
        days: int

    answer = _openai(root).chat.completions.parse(
        model="auto", messages=MESSAGES, response_format=Weather
    )
    return answer.choices[0].message.parsed.model_dump()


def openai_nested(root):
    import enum

    import pydantic

    class Sky(enum.Enum):
        CLEAR = "clear"
        GREY = "grey"

    class Day(pydantic.BaseModel):
        sky: Sky
        wind: float | None

    class Week(pydantic.BaseModel):
        days: list[Day]

    asked = {"model": "auto", "messages": MESSAGES, "response_format": Week}
    whole = _openai(root).chat.completions.parse(**asked).choices[0].message.parsed
    with _openai(root).chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0].message.parsed
    response = _openai(root).responses.parse(model="auto", input=PROMPT, text_format=Week)
    assert whole == streamed == response.output_parsed
    return {"sky": whole.days[0].sky.value, "wind": whole.days[0].wind}


def openai_responses(root):
    client = _openai(root)
    whole = client.responses.create(model="auto", input=PROMPT)
    with client.responses.stream(model="auto", input=PROMPT) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text == whole.output_text
    return {"text": whole.output_text, "status": final.status}


def _deleted(error, said):
    """Whether this is the 404 of an answer that is not kept."""
    return error.status_code == 404 and f"'{said.id}' is not kept here" in error.message


def openai_stored(root):
    """Answers, whole and streamed, are fetched as they came, listed with their input, deleted."""
    import openai

    client = _openai(root)
    first = client.responses.create(model="auto", input=PROMPT, metadata={"job": "n7"})
    asked = {"model": "auto", "input": "And then? nonce: n4", "previous_response_id": first.id}
    events = client.responses.create(**asked, stream=True)
    (second,) = [event.response for event in events if event.type == "response.completed"]
    same = [client.responses.retrieve(said.id) for said in (first, second)] == [first, second]
    items = list(client.responses.input_items.list(second.id, order="asc", limit=2))
    texts = [item.content[0].text for item in items]
    newest = client.responses.input_items.list(second.id, limit=1)
    assert newest.data == items[-1:]
    assert newest.has_more
    gone = []
    for said in (first, second):
        client.responses.delete(said.id)
        for call in (client.responses.retrieve, client.responses.input_items.list):
            try:
                call(said.id)
            except openai.NotFoundError as error:
                gone.append(_deleted(error, said))
    listed = [texts[0], texts[2]] == [PROMPT, "And then? nonce: n4"]
    return {"text": texts[1], "same": same, "listed": listed, "gone": gone}


def openai_stored_async(root):
    import openai

    async def call():
        async with openai.AsyncOpenAI(base_url=root + "/v1", api_key="unused-key") as client:
            stream = await client.responses.create(model="auto", input=PROMPT, stream=True)
            (said,) = [e.response async for e in stream if e.type == "response.completed"]
            fetched = await client.responses.retrieve(said.id)
            items = [item async for item in client.responses.input_items.list(said.id)]
            await client.responses.delete(said.id)
            try:
                await client.responses.retrieve(said.id)
            except openai.NotFoundError as error:
                gone = _deleted(error, said)
            listed = [item.content[0].text for item in items] == [PROMPT]
            same = fetched == said
            return {"text": said.output_text, "same": same, "listed": listed, "gone": gone}

    return asyncio.run(call())


def openai_stored_refused(root):
    """What cannot be done with a stored answer says why; nobody else's key finds it."""
    import openai

    client = _openai(root)
    said = client.responses.create(model="auto", input=PROMPT)
    other = openai.OpenAI(base_url=root + "/v1", api_key="other-key", max_retries=0)
    gave = {}
    for name, call in (
        ("stream", lambda: client.responses.retrieve(said.id, stream=True)),
        ("cancel", lambda: client.responses.cancel(said.id)),
        ("compact", lambda: client.responses.compact(model="auto", input=PROMPT)),
        ("other", lambda: other.responses.retrieve(said.id)),
    ):
        try:
            call()
        except openai.APIStatusError as error:
            gave[name] = [error.status_code, error.message.partition("; ")[2].rstrip("'}")[:30]]
    return gave


def openai_count(root):
    """A request has more tokens with the answer that it names."""
    client = _openai(root)
    asked = {"model": "auto", "input": PROMPT}
    count = client.responses.input_tokens.count(**asked)
    said = client.responses.create(**asked)
    more = client.responses.input_tokens.count(**asked, previous_response_id=said.id)
    assert count.object == "response.input_tokens"
    return {"counted": 0 < count.input_tokens < more.input_tokens}


def openai_responses_tools(root):
    tools = [{"type": "function", "name": "forecast", "parameters": SCHEMA}]
    answer = _openai(root).responses.create(model="auto", input=PROMPT, tools=tools)
    call = next(item for item in answer.output if item.type == "function_call")
    return {call.name: json.loads(call.arguments)}


def openai_responses_parse(root):
    import pydantic

    class Weather(pydantic.BaseModel):
        city: str
        days: int

    answer = _openai(root).responses.parse(model="auto", input=PROMPT, text_format=Weather)
    return answer.output_parsed.model_dump()


def openai_hosted(root):
    import openai

    client, tools = _openai(root), [{"type": "web_search"}]
    asked = {"model": "auto", "tools": tools, "reasoning": {"effort": "low"}}
    try:
        whole = client.responses.create(input=PROMPT, **asked)
    except openai.BadRequestError as error:
        return {"refused": "web_search" in str(error)}
    with client.responses.stream(input=PROMPT, **asked) as stream:
        searched = any(event.type == "response.web_search_call.completed" for event in stream)
        final = stream.get_final_response()
    kinds = [item.type for item in final.output]
    again = [
        {"role": "user", "content": PROMPT},
        *final.output,
        {"role": "user", "content": PROMPT},
    ]
    more = client.responses.create(input=again, **asked)
    same = kinds == [item.type for item in whole.output] == [item.type for item in more.output]
    return {"kinds": kinds, "searched": searched, "same": same}


def openai_models(root):
    return {"auto": "auto" in [model.id for model in _openai(root).models.list()]}


def anthropic_models(root):
    listed = list(_anthropic(root).models.list())
    return {"auto": "auto" in [model.id for model in listed], "type": listed[0].type,
            "name": listed[0].display_name, "year": listed[0].created_at.year}  # fmt: skip


def openai_error(root):
    import openai

    try:
        _openai(root).chat.completions.create(model="nonsense", messages=MESSAGES)
    except openai.NotFoundError as error:
        return {"code": error.code, "status": error.status_code}


def openai_overflow(root):
    import openai

    long, client = [{"role": "user", "content": TOO_LONG}], _openai(root)
    codes = []
    for call in (
        lambda: client.chat.completions.create(model="small", messages=long),
        lambda: client.chat.completions.create(model="small", messages=long, stream=True),
        lambda: client.responses.create(model="small", input=TOO_LONG),
    ):
        try:
            call()
        except openai.BadRequestError as error:
            codes.append(error.code)
    return {"codes": codes}


def openai_break(root):
    import openai

    stream = _openai(root).chat.completions.create(model="strong", messages=MESSAGES, stream=True)
    seen = 0
    try:
        for _ in stream:
            seen += 1
    except openai.APIError as error:
        return {"seen": seen > 0, "told": bool(str(error))}


def openai_held(root):
    client = _openai(root)
    stream = client.chat.completions.create(model="slow", messages=MESSAGES, stream=True)
    with client.responses.stream(model="slow", input=PROMPT) as events:
        kinds = [event.type for event in events]
        response = events.get_final_response()
    assert kinds[0] == "response.created"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    return {"text": text, "answers": "answers" in response.output_text}


def openai_repeated(root):
    client, named = _openai(root), {"Idempotency-Key": "repeated-by-openai"}
    ask = client.chat.completions.with_raw_response.create
    first, again = (ask(model="auto", messages=MESSAGES, extra_headers=named) for _ in range(2))
    return {
        "text": again.parse().choices[0].message.content,
        "same": first.parse().id == again.parse().id,
        "marked": again.headers.get("idempotent-replayed"),
    }


def anthropic_chat(root):
    answer = _anthropic(root).messages.create(model="auto", max_tokens=200, messages=MESSAGES)
    return {"text": answer.content[0].text, "model": answer.model, "stop": answer.stop_reason}


def anthropic_request_id(root):
    import anthropic

    client = _anthropic(root)
    answer = client.messages.create(model="auto", max_tokens=200, messages=MESSAGES)
    try:
        client.messages.create(model="nonsense", max_tokens=5, messages=MESSAGES)
    except anthropic.NotFoundError as error:
        return {"ids": [answer._request_id[:2], error.request_id[:2]]}


def anthropic_stream(root):
    client = _anthropic(root)
    with client.messages.stream(model="auto", max_tokens=200, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.usage.output_tokens > 0
    return {"text": text, "stop": final.stop_reason}


def anthropic_held(root):
    client = _anthropic(root)
    with client.messages.stream(model="slow", max_tokens=200, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
    return {"text": text}


def anthropic_repeated(root):
    client, named = _anthropic(root), {"Idempotency-Key": "repeated-by-anthropic"}
    texts, ids = [], set()
    for _ in range(2):
        with client.messages.stream(
            model="auto", max_tokens=200, messages=MESSAGES, extra_headers=named
        ) as stream:
            texts.append("".join(stream.text_stream))
            ids.add(stream.get_final_message().id)
    return {"text": texts[1], "same": len(ids) == 1 and texts[0] == texts[1]}


def anthropic_async(root):
    import anthropic

    async def call():
        async with anthropic.AsyncAnthropic(base_url=root, api_key="unused-key") as client:
            stream = client.messages.stream(model="auto", max_tokens=200, messages=MESSAGES)
            async with stream as events:
                return {"text": "".join([text async for text in events.text_stream])}

    return asyncio.run(call())


def anthropic_tools(root):
    return _uses(root, "auto")


def anthropic_parallel(root):
    return _uses(root, "parallel")


def anthropic_loop(root):
    """The client's own tool runner, whole and streamed."""
    from anthropic import beta_tool

    seen = []

    @beta_tool
    def forecast(city: str, days: int) -> str:
        """The weather."""
        seen.append({"city": city, "days": days})
        return "sunny, nonce: n3"

    asked = {"model": "auto", "max_tokens": 200, "messages": MESSAGES, "tools": [forecast]}
    runner = _anthropic(root).beta.messages.tool_runner
    whole = runner(**asked).until_done()
    for stream in runner(**asked, stream=True):
        final = stream.get_final_message()
    assert (len(seen), final.content[0].text) == (2, whole.content[0].text)
    return {"text": final.content[0].text, **seen[0]}


def anthropic_session(root):
    """Two families think and call tools in turns, in one conversation, whole and streamed."""
    client, kinds = _anthropic(root), set()
    asked = {"max_tokens": 4000, "tools": [{"name": "forecast", "input_schema": SCHEMA}]}
    asked["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    for stream in (False, True):
        history = list(MESSAGES)
        for name in ("thinks", "other", "thinks", "other"):
            for _ in ("a call", "its answer"):
                if stream:
                    with client.messages.stream(model=name, messages=history, **asked) as events:
                        said = events.get_final_message()
                else:
                    said = client.messages.create(model=name, messages=history, **asked)
                kinds.add(tuple(block.type for block in said.content))
                uses = [block.id for block in said.content if block.type == "tool_use"]
                results = [
                    {"type": "tool_result", "tool_use_id": use, "content": "sunny"} for use in uses
                ]
                history.append({"role": "assistant", "content": said.content})
                history.append({"role": "user", "content": results or PROMPT})
    return {"kinds": sorted(map(list, kinds))}


def openai_session(root):
    """The same, each answer named by the one that follows it."""
    client, kinds = _openai(root), set()
    asked = {"reasoning": {"effort": "low"}}
    asked["tools"] = [{"type": "function", "name": "forecast", "parameters": SCHEMA}]
    for stream in (False, True):
        said, told = None, PROMPT
        for name in ("thinks", "other", "thinks", "other"):
            for _ in ("a call", "its answer"):
                asked |= {"model": name, "previous_response_id": said and said.id, "input": told}
                if stream:
                    with client.responses.stream(**asked) as events:
                        for _ in events:
                            pass
                        said = events.get_final_response()
                else:
                    said = client.responses.create(**asked)
                kinds.add(tuple(item.type for item in said.output))
                told = [
                    {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
                    for item in said.output
                    if item.type == "function_call"
                ] or PROMPT
    return {"kinds": sorted(map(list, kinds))}


def anthropic_count(root):
    counted = _anthropic(root).messages.count_tokens(model="auto", messages=MESSAGES)
    return {"counted": counted.input_tokens > 5}


def anthropic_error(root):
    import anthropic

    try:
        _anthropic(root).messages.create(model="nonsense", max_tokens=5, messages=MESSAGES)
    except anthropic.NotFoundError as error:
        return {"type": error.body["error"]["type"], "status": error.status_code}


def anthropic_break(root):
    import anthropic

    client = _anthropic(root)
    try:
        with client.messages.stream(model="strong", max_tokens=99, messages=MESSAGES) as stream:
            for _ in stream:
                pass
    except anthropic.APIError as error:
        return {"told": bool(str(error))}


def _agent(root, model, *, name="auto", **more):
    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.providers.openai import OpenAIProvider

    if model == "messages":
        provider = AnthropicProvider(base_url=root, api_key="unused-key")
        return Agent(AnthropicModel(name, provider=provider), **more)
    kind = {"chat": OpenAIChatModel, "responses": OpenAIResponsesModel}[model]
    provider = OpenAIProvider(base_url=root + "/v1", api_key="unused-key")
    return Agent(kind(name, provider=provider), **more)


def pydantic_ai_overflow(root):
    agents = [_agent(root, kind, name="small") for kind in ("chat", "responses", "messages")]
    return {"raised": [raised(lambda a=agent: a.run_sync(TOO_LONG)) for agent in agents]}


def pydantic_ai_text(root):
    texts = {m: _agent(root, m).run_sync(PROMPT).output for m in ("chat", "responses", "messages")}
    starts = {text.partition(":")[0] for text in texts.values()}
    assert len(starts) == 1, texts
    return {"text": texts["chat"]}


def pydantic_ai_stream(root):
    async def call():
        async with _agent(root, "chat").run_stream(PROMPT) as result:
            return {"text": [text async for text in result.stream_text()][-1]}

    return asyncio.run(call())


def pydantic_ai_output(root):
    import pydantic

    class Weather(pydantic.BaseModel):
        city: str
        days: int

    found = [
        _agent(root, m, output_type=Weather).run_sync(PROMPT).output.model_dump()
        for m in ("chat", "responses", "messages")
    ]
    assert found[1:] == found[:1] * 2, found
    return found[0]


def pydantic_ai_tools(root):
    seen = []
    agent = _agent(root, "chat")

    @agent.tool_plain
    def forecast(city: str, days: int) -> str:
        seen.append({"city": city, "days": days})
        return "sunny, nonce: n3"

    text = agent.run_sync(PROMPT).output
    return {"text": text, **seen[0]}


def pydantic_ai_turns(root):
    """Three turns with a tool each, on the history of those before."""
    texts = []
    for kind in ("chat", "responses", "messages"):
        agent, history = _agent(root, kind), None

        @agent.tool_plain
        def forecast(city: str, days: int) -> str:
            return f"sunny for {days}, nonce: {city}"

        for turn in ("first", "second", "third"):
            result = agent.run_sync(f"{PROMPT} {turn}, nonce: n3", message_history=history)
            history = result.all_messages()
        texts.append(result.output.partition(":")[0] + ":")
    assert len(set(texts)) == 1, texts
    return {"text": texts[0]}


def _agents(root, *, responses):
    import agents
    import openai

    agents.set_tracing_disabled(disabled=True)
    client = openai.AsyncOpenAI(base_url=root + "/v1", api_key="unused-key")
    kind = agents.OpenAIResponsesModel if responses else agents.OpenAIChatCompletionsModel
    seen = []

    @agents.function_tool
    def forecast(city: str, days: int) -> str:
        """The weather."""
        seen.append({"city": city, "days": days})
        return "sunny, nonce: n3"

    model = kind(model="auto", openai_client=client)
    agent = agents.Agent(name="a", instructions="Be brief.", model=model, tools=[forecast])
    result = asyncio.run(agents.Runner.run(agent, PROMPT))
    return {"text": result.final_output, **seen[0]}


def openai_agents_responses(root):
    return _agents(root, responses=True)


def openai_agents_chat(root):
    return _agents(root, responses=False)


def openai_agents_stream(root):
    import agents
    import openai

    agents.set_tracing_disabled(disabled=True)
    client = openai.AsyncOpenAI(base_url=root + "/v1", api_key="unused-key")
    model = agents.OpenAIResponsesModel(model="auto", openai_client=client)

    async def call():
        streamed = agents.Runner.run_streamed(agents.Agent(name="a", model=model), PROMPT)
        async for _ in streamed.stream_events():
            pass
        return {"text": streamed.final_output}

    return asyncio.run(call())


def _calls(answer):
    calls = answer.choices[0].message.tool_calls
    return {c.function.name: json.loads(c.function.arguments) for c in calls}


def _uses(root, model):
    tools = [{"name": t["function"]["name"], "input_schema": SCHEMA} for t in TOOLS]
    client = _anthropic(root)
    with client.messages.stream(
        model=model, max_tokens=200, messages=MESSAGES, tools=tools
    ) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    return {b.name: b.input for b in final.content if b.type == "tool_use"}


run(dict(globals()))
