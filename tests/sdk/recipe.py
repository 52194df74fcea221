"""A model-routing script as one writes it in an afternoon; knows nothing of gateways.

``BASE_URL KEY PROMPT...``: labels each prompt with a fast model, maps the label to a model and
answers with that.
"""

import sys

from openai import OpenAI

client = OpenAI(base_url=sys.argv[1], api_key=sys.argv[2])

FAST = "deepseek-ai/DeepSeek-V3.2"
MODEL_MAP = {
    "simple_qa": FAST,
    "creative": "anthropic/claude-4-sonnet",
    "code": "Qwen/Qwen3-Coder-480B-A35B-Instruct-Turbo",
    "unsafe": None,
}
LABELLER = (
    "You sort prompts. Reply with one word: simple_qa for facts, creative for writing, "
    "code for programming, unsafe for anything harmful."
)


def classify(prompt):
    messages = [{"role": "system", "content": LABELLER}, {"role": "user", "content": prompt}]
    answer = client.chat.completions.create(
        model=FAST, messages=messages, max_tokens=16, temperature=0
    )
    return answer.choices[0].message.content.strip().lower()


def route(prompt):
    model = MODEL_MAP.get(classify(prompt), FAST)
    if model is None:
        return "blocked", "This request was classified as unsafe."
    messages = [{"role": "user", "content": prompt}]
    answer = client.chat.completions.create(model=model, messages=messages)
    return answer.model, answer.choices[0].message.content


for prompt in sys.argv[3:]:
    print(*route(prompt), sep="\t")
