"""Anthropic's own package: messages, streams, tools, token counts, errors, with any provider.

usage: anthropic_messages.py GATEWAY_URL KEY PROVIDER_URL MODEL...
"""

import json
import sys
import time
import urllib.request

import anthropic
from anthropic import Anthropic

GATEWAY, KEY, PROVIDER, *MODELS = sys.argv[1:]
CITY = {"city": "Hà Nội"}
TOOLS = [
    {
        "name": "weather",
        "description": "Weather of a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]


def client(**options):
    return Anthropic(
        base_url=GATEWAY,
        timeout=20,
        max_retries=0,
        _strict_response_validation=True,
        **{"api_key": KEY, **options},
    )


CLIENT = client()


def told(**behaviour):
    return f"<<{json.dumps(behaviour)}>>"


def user(content):
    return {"role": "user", "content": content}


def at_provider(text, wanted):
    """The request with `text`, once it fulfils `wanted`."""
    for _ in range(100):
        with urllib.request.urlopen(f"{PROVIDER}/_requests", timeout=20) as answer:
            records = json.load(answer)
        for record in records:
            if text in record["body"] and wanted(record):
                return record
        time.sleep(0.05)
    raise AssertionError(f"never at the provider: {text}")


def create(model):
    answer = CLIENT.messages.create(
        model=model, max_tokens=100, system="Be brief.", messages=[user("Xin chào!")]
    )
    assert answer.role == "assistant" and answer.type == "message", answer
    assert [block.text for block in answer.content] == ["Echo: Xin chào!"], answer
    assert answer.stop_reason == "end_turn", answer
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer
    cut = CLIENT.messages.create(model=model, max_tokens=2, messages=[user("một hai ba")])
    assert cut.stop_reason == "max_tokens", cut


def bearer(model):
    answer = client(api_key=None, auth_token=KEY).messages.create(
        model=model, max_tokens=100, messages=[user("Xin chào!")]
    )
    assert answer.content[0].text == "Echo: Xin chào!", answer


def cached_blocks(model):
    cached = {"cache_control": {"type": "ephemeral"}}
    answer = CLIENT.messages.create(
        model=model,
        max_tokens=100,
        system=[{"type": "text", "text": "Be brief.", **cached}],
        messages=[user([{"type": "text", "text": "Xin chào!", **cached}])],
        tools=[{**TOOLS[0], **cached}],
        tool_choice={"type": "none"},
    )
    assert answer.content[0].text == "Echo: Xin chào!", answer


def stream(model):
    with CLIENT.messages.stream(
        model=model, max_tokens=100, messages=[user("một hai ba")]
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "Echo: một hai ba", text
    assert final.stop_reason == "end_turn", final
    assert final.usage.input_tokens > 0 and final.usage.output_tokens > 0, final


def raw_stream(model):
    events = list(
        CLIENT.messages.create(
            model=model, max_tokens=100, messages=[user("một hai")], stream=True
        )
    )
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds
    starts = [event.index for event in events if event.type == "content_block_start"]
    stops = [event.index for event in events if event.type == "content_block_stop"]
    assert starts == stops == list(range(len(starts))), kinds


def tools(model):
    history = [user("Weather?")]
    asked = CLIENT.messages.create(model=model, max_tokens=100, messages=history, tools=TOOLS)
    assert asked.stop_reason == "tool_use", asked
    call = next(block for block in asked.content if block.type == "tool_use")
    assert (call.name, call.input) == ("weather", CITY), asked
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    history += [{"role": "assistant", "content": asked.content}, user([result])]
    answer = CLIENT.messages.create(model=model, max_tokens=100, messages=history, tools=TOOLS)
    assert answer.content[0].text == "Echo: sunny", answer


def streamed_tools(model):
    with CLIENT.messages.stream(
        model=model, max_tokens=100, messages=[user("Weather?")], tools=TOOLS
    ) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use", final
    assert [block.input for block in final.content if block.type == "tool_use"] == [CITY], final


def count_tokens(model):
    short = CLIENT.messages.count_tokens(model=model, messages=[user("một")])
    long = CLIENT.messages.count_tokens(
        model=model, system="Be brief.", messages=[user("một hai ba " * 20)], tools=TOOLS
    )
    assert 0 < short.input_tokens < long.input_tokens, (short, long)


def errors(model):
    kinds = {
        400: (anthropic.BadRequestError, "invalid_request_error"),
        429: (anthropic.RateLimitError, "rate_limit_error"),
        500: (anthropic.InternalServerError, "api_error"),
    }
    for status, (kind, name) in kinds.items():
        try:
            CLIENT.messages.create(
                model=model, max_tokens=100, messages=[user(told(status=status))]
            )
        except anthropic.APIStatusError as error:
            assert type(error) is kind, repr(error)
            assert error.body["type"] == "error", error.body
            assert error.body["error"]["type"] == name, error.body
            assert "was told to fail" in error.body["error"]["message"], error.body
        else:
            raise AssertionError(status)


def refusals(model):
    for call, kind, name in (
        (lambda: client(api_key="vk-nobody"), anthropic.AuthenticationError, "authentication_error"),
        (lambda: CLIENT, anthropic.NotFoundError, "not_found_error"),
    ):
        asked = "no-such-model" if kind is anthropic.NotFoundError else model
        try:
            call().messages.create(model=asked, max_tokens=100, messages=[user("x")])
        except anthropic.APIStatusError as error:
            assert type(error) is kind, repr(error)
            assert error.body["error"]["type"] == name, error.body
        else:
            raise AssertionError(name)


def broken_stream(model):
    for fault in ({"error_after": 2}, {"ending": "close", "after_chunks": 2}):
        text = ""
        try:
            with CLIENT.messages.stream(
                model=model, max_tokens=100, messages=[user(told(chunks=4, **fault))]
            ) as stream:
                for piece in stream.text_stream:
                    text += piece
        except anthropic.APIError:
            assert text == "tok0 tok1 ", text
        else:
            raise AssertionError(f"a broken stream looked whole: {fault}")


def leaves_early(model):
    mark = f"anthropic-leaves-early-{model}"
    content = f"{mark} {told(chunks=400, chunk_ms=25)}"
    with CLIENT.messages.stream(
        model=model, max_tokens=1000, messages=[user(content)]
    ) as stream:
        for index, _ in enumerate(stream.text_stream):
            if index == 3:
                break
    record = at_provider(mark, lambda record: record["aborted"])
    assert record["chunks_sent"] < 100, record["chunks_sent"]


CASES = [
    create,
    bearer,
    cached_blocks,
    stream,
    raw_stream,
    tools,
    streamed_tools,
    count_tokens,
    errors,
    refusals,
    broken_stream,
    leaves_early,
]

for name in MODELS:
    for case in CASES:
        try:
            case(name)
        except Exception:
            print(f"FAILED: {case.__name__} with {name}")
            raise
        print(f"ok: {case.__name__} with {name}")
