"""Runs in an environment of its own with the real SDKs: prints what each call gave as JSON.

``python client.py BASE_URL CASE``; imports nothing of Turnout.
"""

import asyncio
import json
import sys

PROMPT = "Write a Python function to parse CSV files, nonce: n3"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
MESSAGES = [{"role": "user", "content": PROMPT}]


def openai_client(base):
    import openai

    return openai.OpenAI(base_url=base + "/v1", api_key="unused-key", max_retries=0)


def anthropic_client(base):
    import anthropic

    return anthropic.Anthropic(base_url=base, api_key="unused-key", max_retries=0)


def openai_chat(base):
    answer = openai_client(base).chat.completions.create(model="auto", messages=MESSAGES)
    return {
        "text": answer.choices[0].message.content,
        "model": answer.model,
        "tokens": answer.usage.total_tokens,
    }


def openai_stream(base):
    stream = openai_client(base).chat.completions.create(
        model="auto", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    return {"text": text, "tokens": chunks[-1].usage.total_tokens}


def openai_async(base):
    import openai

    async def call():
        async with openai.AsyncOpenAI(base_url=base + "/v1", api_key="unused-key") as client:
            answer = await client.chat.completions.create(model="auto", messages=MESSAGES)
            return {"text": answer.choices[0].message.content}

    return asyncio.run(call())


def openai_tools(base):
    tools = [{"type": "function", "function": {"name": "forecast", "parameters": SCHEMA}}]
    client = openai_client(base)
    with client.chat.completions.stream(model="auto", messages=MESSAGES, tools=tools) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    call = final.choices[0].message.tool_calls[0]
    return {"name": call.function.name, "arguments": json.loads(call.function.arguments)}


def openai_parse(base):
    import pydantic

    class Weather(pydantic.BaseModel):
        city: str

    answer = openai_client(base).chat.completions.parse(
        model="auto", messages=MESSAGES, response_format=Weather
    )
    return {"city": answer.choices[0].message.parsed.city}


def openai_responses(base):
    client = openai_client(base)
    whole = client.responses.create(model="auto", input=PROMPT)
    with client.responses.stream(model="auto", input=PROMPT) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    return {"text": whole.output_text, "streamed": final.output_text, "status": final.status}


def openai_models(base):
    return {"ids": [model.id for model in openai_client(base).models.list()]}


def openai_error(base):
    import openai

    try:
        openai_client(base).chat.completions.create(model="nonsense", messages=MESSAGES)
    except openai.NotFoundError as error:
        return {"code": error.code, "status": error.status_code}


def openai_break(base):
    import openai

    stream = openai_client(base).chat.completions.create(
        model="strong", messages=MESSAGES, stream=True
    )
    seen = 0
    try:
        for _ in stream:
            seen += 1
    except openai.APIError as error:
        return {"seen": seen, "message": str(error)}


def anthropic_chat(base):
    answer = anthropic_client(base).messages.create(model="auto", max_tokens=200, messages=MESSAGES)
    return {"text": answer.content[0].text, "model": answer.model, "stop": answer.stop_reason}


def anthropic_stream(base):
    client = anthropic_client(base)
    with client.messages.stream(model="auto", max_tokens=200, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    return {"text": text, "tokens": final.usage.output_tokens, "stop": final.stop_reason}


def anthropic_tools(base):
    tools = [{"name": "forecast", "input_schema": SCHEMA}]
    client = anthropic_client(base)
    with client.messages.stream(
        model="auto", max_tokens=200, messages=MESSAGES, tools=tools
    ) as stream:
        final = stream.get_final_message()
    block = next(b for b in final.content if b.type == "tool_use")
    return {"name": block.name, "arguments": block.input, "stop": final.stop_reason}


def anthropic_count(base):
    counted = anthropic_client(base).messages.count_tokens(model="auto", messages=MESSAGES)
    return {"tokens": counted.input_tokens}


def anthropic_error(base):
    import anthropic

    try:
        anthropic_client(base).messages.create(model="nonsense", max_tokens=5, messages=MESSAGES)
    except anthropic.NotFoundError as error:
        return {"type": error.body["error"]["type"], "status": error.status_code}


def anthropic_break(base):
    import anthropic

    client = anthropic_client(base)
    try:
        with client.messages.stream(model="strong", max_tokens=99, messages=MESSAGES) as stream:
            for _ in stream:
                pass
    except anthropic.APIError as error:
        return {"message": str(error)}


print(json.dumps(globals()[sys.argv[2]](sys.argv[1])))
