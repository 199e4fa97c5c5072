"""The older completions with OpenAI's own package.

usage: completions.py BASE_URL KEY MODEL...
"""

import sys

from openai import OpenAI

BASE_URL, KEY, *MODELS = sys.argv[1:]
CLIENT = OpenAI(
    base_url=BASE_URL, api_key=KEY, timeout=20, max_retries=0, _strict_response_validation=True
)
# The package's own type has no null for the reason of a chunk that is not the last.
LAX = OpenAI(base_url=BASE_URL, api_key=KEY, timeout=20, max_retries=0)

for model in MODELS:
    answer = CLIENT.completions.create(model=model, prompt="một hai", max_tokens=50)
    assert answer.object == "text_completion" and answer.id.startswith("cmpl-"), answer
    assert answer.choices[0].text == "Echo: một hai", answer
    assert answer.choices[0].finish_reason == "stop", answer
    assert answer.usage.total_tokens > 0, answer
    for options in ({}, {"stream_options": {"include_usage": True}}):
        stream = LAX.completions.create(model=model, prompt="một hai", stream=True, **options)
        chunks = list(stream)
        assert "".join(c.choices[0].text for c in chunks if c.choices) == "Echo: một hai", chunks
        usage = [c.usage for c in chunks if c.usage]
        assert len(usage) == len(options), chunks
    print("ok", model)
