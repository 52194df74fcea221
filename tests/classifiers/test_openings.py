"""The words that open a task decide its label."""

import pytest

from turnout.classifiers import LocalClassifier
from turnout.classifiers.openings import opening


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Summarize: The train was late. Nobody minded.", "Summarize:"),
        ("短く要約してください：電車が遅れた。誰も怒らなかった。駅は静かだった。冬の朝だった。",
         "短く要約してください："),
        ("Shorten this a little\n\nWe met on Monday. It was raining.", "Shorten this a little"),
        # One clause is no pasted text, nor are a few words.
        ("Translate into French: The station is near the old town hall", ""),
        ("Sum up: a. b. c.", ""),
        ("The train was late. Nobody minded, as we had brought a picnic and two good books.", ""),
        # What is as long as a text opens none.
        ("word " * 40 + ": The train was late. Nobody minded.", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_a_task_opens_with_a_colon_or_a_line(text: str, words: str) -> None:
    """Where several clauses follow."""
    assert opening(text) == words


@pytest.mark.parametrize(
    ("task", "intent"),
    [
        ("Translate into German: ", "translation"),
        ("Summarize: ", "summarization"),
        ("Rewrite this more formally: ", "writing"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "Hi Anna, the kids have grown. Write soon!",
        "My grandfather ran a post office. He sorted letters by hand for forty years.",
        "The train was late again. People were angry. A man played the guitar.",
    ],
)
def test_an_everyday_text_does_not_change_the_task(task: str, intent: str, text: str) -> None:
    """A letter is no chat, and a tale no creative writing, where something is asked of them."""
    found = LocalClassifier.load().predict([{"role": "user", "content": task + text}])
    assert found.intent == intent
