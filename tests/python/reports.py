"""What guardrails did, as the makers' own packages see it in answers and at the end of streams.

usage: reports.py GATEWAY_URL KEY MODEL...
"""

import json
import sys

from anthropic import Anthropic
from openai import OpenAI

GATEWAY, KEY, *MODELS = sys.argv[1:]
RULES = {
    "guardrails": {
        "input": [{"type": "pii_detection", "action": "redact"}],
        "output": [{"type": "pii_detection", "action": "mask"}],
        "report": True,
    }
}
ECHO = "I am ann@example.com"
HEADERS = {"x-portkey-config": json.dumps(RULES)}

openai = OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0, timeout=20)
openai = openai.with_options(default_headers=HEADERS)
claude = Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0, timeout=20)
claude = claude.with_options(default_headers=HEADERS)


def check(results):
    [hook] = results["before_request_hooks"]
    data = {"type": "EMAIL", "action": "redact", "count": 1}
    assert hook["checks"][0]["data"] == data, results
    assert "example.com" not in json.dumps(results)
    assert results["after_request_hooks"] == [], results


def chat(model):
    messages = [{"role": "user", "content": ECHO}]
    answer = openai.chat.completions.create(model=model, messages=messages)
    check(answer.hook_results)
    for options in ({}, {"stream_options": {"include_usage": True}}):
        chunks = list(
            openai.chat.completions.create(
                model=model, messages=messages, stream=True, **options
            )
        )
        check(chunks[-1].hook_results)
        assert len({chunk.id for chunk in chunks}) == 1, chunks
        assert not any(hasattr(chunk, "hook_results") for chunk in chunks[:-1])
    with openai.chat.completions.stream(model=model, messages=messages) as stream:
        final = stream.get_final_completion()
    assert "[EMAIL_REDACTED]" in final.choices[0].message.content, final


def older(model):
    answer = openai.completions.create(model=model, prompt=ECHO)
    check(answer.hook_results)
    *_, last = openai.completions.create(model=model, prompt=ECHO, stream=True)
    check(last.hook_results)


def responses(model):
    answer = openai.responses.create(model=model, input=ECHO, store=False)
    check(answer.hook_results)
    with openai.responses.stream(model=model, input=ECHO, store=False) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[-1] == "response.completed", kinds
    check(final.hook_results)
    assert "[EMAIL_REDACTED]" in final.output_text, final


def messages(model):
    asked = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": ECHO}]}
    answer = claude.messages.create(**asked)
    check(answer.hook_results)
    *_, last = claude.messages.create(**asked, stream=True)
    assert last.type == "message_stop", last
    check(last.hook_results)
    with claude.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert "[EMAIL_REDACTED]" in final.content[0].text, final


for name in MODELS:
    for case in [chat, older, responses, messages]:
        try:
            case(name)
        except Exception:
            print(f"FAILED: {case.__name__} with {name}")
            raise
        print(f"ok: {case.__name__} with {name}")
