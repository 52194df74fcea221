"""Runs in an environment with openai 2: prints what each call gave as JSON.

``python calls2.py ROOT_URL``; imports nothing of Turnout.
"""

import json

from cases import MESSAGES, PROMPT, TOO_LONG, TOOLS, raised, run


def openai2_chat(root):
    answer = _openai(root).chat.completions.create(model="auto", messages=MESSAGES)
    return {"text": answer.choices[0].message.content}


def openai2_stream(root):
    stream = _openai(root).chat.completions.create(model="auto", messages=MESSAGES, stream=True)
    return {"text": "".join(c.choices[0].delta.content or "" for c in stream)}


def openai2_parse(root):
    answer = _openai(root).chat.completions.parse(
        model="auto", messages=MESSAGES, response_format=_weather()
    )
    return answer.choices[0].message.parsed.model_dump()


def openai2_responses(root):
    return {"text": _openai(root).responses.create(model="auto", input=PROMPT).output_text}


def litellm_chat(root):
    answer = _litellm(root, "openai/auto")
    return {"text": answer.choices[0].message.content}


def litellm_stream(root):
    stream = _litellm(root, "openai/auto", stream=True)
    return {"text": "".join(c.choices[0].delta.content or "" for c in stream)}


def litellm_tools(root):
    return _calls(_litellm(root, "openai/auto", tools=TOOLS).choices[0].message.tool_calls)


def litellm_parallel(root):
    return _calls(_litellm(root, "openai/parallel", tools=TOOLS).choices[0].message.tool_calls)


def litellm_messages(root):
    import litellm

    answer = litellm.completion(
        model="anthropic/auto", api_base=root, api_key="unused-key", messages=MESSAGES
    )
    return {"text": answer.choices[0].message.content}


def litellm_overflow(root):
    import litellm

    places = ("openai", root + "/v1"), ("anthropic", root), ("openai/responses", root + "/v1")
    asked = {"api_key": "unused-key", "messages": [{"role": "user", "content": TOO_LONG}]}
    asked |= {"num_retries": 0, "max_tokens": 100}
    return {
        "raised": [
            raised(lambda k=kind, b=base: litellm.completion(f"{k}/small", api_base=b, **asked))
            for kind, base in places
        ]
    }


def langchain_chat(root):
    return {"text": _langchain(root).invoke(PROMPT).content}


def langchain_stream(root):
    return {"text": "".join(chunk.content for chunk in _langchain(root).stream(PROMPT))}


def langchain_tools(root):
    answer = _langchain(root).bind_tools(TOOLS).invoke(PROMPT)
    return {call["name"]: call["args"] for call in answer.tool_calls}


def langchain_parallel(root):
    merged = None
    for chunk in _langchain(root, model="parallel").bind_tools(TOOLS).stream(PROMPT):
        merged = chunk if merged is None else merged + chunk
    return {call["name"]: call["args"] for call in merged.tool_calls}


def langchain_output(root):
    return _langchain(root).with_structured_output(_weather()).invoke(PROMPT).model_dump()


def langchain_thoughts(root):
    """A streamed thought is one item, proven, before its call, and goes back with its result."""
    from langchain_core.messages import HumanMessage, ToolMessage

    own = {"output_version": "responses/v1", "include": ["reasoning.encrypted_content"]}
    llm = _langchain(root, "thinks", use_responses_api=True, reasoning={"effort": "low"}, **own)
    llm, said = llm.bind_tools(TOOLS), None
    for chunk in llm.stream(PROMPT):
        said = chunk if said is None else said + chunk
    kinds = [part["type"] for part in said.content]
    proven = bool(said.content[0].get("encrypted_content"))
    result = ToolMessage("sunny", tool_call_id=said.tool_calls[0]["id"])
    again = llm.invoke([HumanMessage(PROMPT), said, result])
    return {"kinds": kinds, "proven": proven, "text": bool(again.text)}


def langchain_overflow(root):
    llms = [_langchain(root, "small", use_responses_api=own) for own in (False, True)]
    return {"raised": [raised(lambda m=llm: m.invoke(TOO_LONG)) for llm in llms]}


def instructor_tools(root):
    return _instructed(root, "TOOLS")


def instructor_schema(root):
    return _instructed(root, "JSON_SCHEMA")


def llama_index_chat(root):
    return {"text": _llama_index(root).complete(PROMPT).text}


def llama_index_stream(root):
    return {"text": [part.text for part in _llama_index(root).stream_complete(PROMPT)][-1]}


def llama_index_tools(root):
    from llama_index.core.tools import FunctionTool

    def forecast(city: str, days: int) -> str:
        """The weather."""
        return f"{city} {days}"

    llm = _llama_index(root)
    answer = llm.chat_with_tools([FunctionTool.from_defaults(forecast)], user_msg=PROMPT)
    calls = llm.get_tool_calls_from_response(answer)
    return {call.tool_name: call.tool_kwargs for call in calls}


def _openai(root):
    import openai

    return openai.OpenAI(base_url=root + "/v1", api_key="unused-key", max_retries=0)


def _litellm(root, model, **more):
    import litellm

    return litellm.completion(
        model=model, api_base=root + "/v1", api_key="unused-key", messages=MESSAGES, **more
    )


def _langchain(root, model="auto", **more):
    from langchain_openai import ChatOpenAI

    more |= {"base_url": root + "/v1", "api_key": "unused-key", "max_retries": 0}
    return ChatOpenAI(model=model, **more)


def _instructed(root, mode):
    import instructor

    client = instructor.from_openai(_openai(root), mode=getattr(instructor.Mode, mode))
    answer = client.chat.completions.create(
        model="auto", messages=MESSAGES, response_model=_weather()
    )
    return answer.model_dump()


def _llama_index(root):
    from llama_index.llms.openai_like import OpenAILike

    return OpenAILike(
        model="auto",
        api_base=root + "/v1",
        api_key="unused-key",
        is_chat_model=True,
        is_function_calling_model=True,
    )


def _weather():
    import pydantic

    class Weather(pydantic.BaseModel):
        city: str
        days: int

    return Weather


def _calls(calls):
    return {c.function.name: json.loads(c.function.arguments) for c in calls}


run(dict(globals()))
