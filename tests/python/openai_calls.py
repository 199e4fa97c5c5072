"""Every call of OpenAI's interface but chat, with OpenAI's own package, answers strictly typed.

usage: openai_calls.py BASE_URL KEY [CALL[=MODEL]...]   without calls: all of them
"""

import io
import json
import sys

import openai
from openai import OpenAI

BASE_URL, KEY, *CALLS = sys.argv[1:]
CLIENT = OpenAI(
    base_url=BASE_URL, api_key=KEY, timeout=20, max_retries=0, _strict_response_validation=True
)
# The package's own types know neither base64 nor the null that a text chunk ends with.
LAX = OpenAI(base_url=BASE_URL, api_key=KEY, timeout=20, max_retries=0)
TOOL = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


def told(**behaviour):
    return f"<<{json.dumps(behaviour)}>>"


def fails(kind, call):
    try:
        call()
    except openai.APIError as error:
        assert type(error) is kind, repr(error)
        return error
    raise AssertionError(f"no {kind.__name__}")


def embeddings(model="text-embedding-3-small"):
    by_default = LAX.embeddings.create(model=model, input=["một", "hai"])
    as_floats = CLIENT.embeddings.create(model=model, input=["một", "hai"], encoding_format="float")
    assert [one.index for one in by_default.data] == [0, 1], by_default
    assert by_default.data[0].embedding == as_floats.data[0].embedding, by_default
    assert by_default.data[0].embedding != by_default.data[1].embedding, by_default
    assert by_default.usage.prompt_tokens > 0, by_default
    encoded = LAX.embeddings.create(model=model, input=["một", told(base64=True)])
    assert encoded.data[0].embedding == as_floats.data[0].embedding, encoded
    short = LAX.embeddings.create(model=model, input="một", dimensions=3)
    assert short.data[0].embedding == as_floats.data[0].embedding[:3], short
    fails(
        openai.RateLimitError,
        lambda: CLIENT.embeddings.create(model=model, input=told(status=429)),
    )


def completions(model="gpt-3.5-turbo-instruct"):
    answer = CLIENT.completions.create(model=model, prompt="một hai")
    assert answer.choices[0].text == "Echo: một hai", answer
    assert answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0, answer
    cut = CLIENT.completions.create(model=model, prompt="một hai", max_tokens=1)
    assert cut.choices[0].finish_reason == "length", cut
    chunks = list(
        LAX.completions.create(
            model=model, prompt="một hai", stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(c.choices[0].text for c in chunks if c.choices) == "Echo: một hai", chunks
    assert chunks[-1].usage.total_tokens > 0 and not chunks[-1].choices, chunks
    fails(
        openai.InternalServerError,
        lambda: CLIENT.completions.create(model=model, prompt=told(status=500)),
    )
    broken = LAX.completions.create(model=model, prompt=told(error_after=1), stream=True)
    fails(openai.APIError, lambda: list(broken))


def responses(model="gpt-4o-mini"):
    answer = CLIENT.responses.create(model=model, input="một hai")
    assert answer.output_text == "Echo: một hai" and answer.status == "completed", answer
    assert answer.usage.total_tokens > 0, answer
    cut = CLIENT.responses.create(model=model, input="một hai ba", max_output_tokens=2)
    assert cut.status == "incomplete", cut
    assert cut.incomplete_details.reason == "max_output_tokens", cut

    call = CLIENT.responses.create(model=model, input="Weather?", tools=[TOOL]).output[-1]
    assert call.type == "function_call" and call.name == "weather", call
    assert json.loads(call.arguments) == {"city": "Hà Nội"}, call
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    history = [{"role": "user", "content": "Weather?"}, call, result]
    answer = CLIENT.responses.create(model=model, input=history, tools=[TOOL])
    assert answer.output_text == "Echo: sunny", answer
    fails(
        openai.RateLimitError,
        lambda: CLIENT.responses.create(model=model, input=told(status=429)),
    )


def response_streams(model="gpt-4o-mini"):
    for tools in ([], [TOOL]):
        with CLIENT.responses.stream(model=model, input="một hai", tools=tools) as stream:
            events = list(stream)
            final = stream.get_final_response()
        kinds = [event.type for event in events]
        assert kinds[:2] == ["response.created", "response.in_progress"], kinds
        assert kinds[-1] == "response.completed", kinds
        numbers = [event.sequence_number for event in events]
        assert numbers == sorted(set(numbers)), numbers
        if tools:
            assert json.loads(final.output[-1].arguments) == {"city": "Hà Nội"}, final
        else:
            assert final.output_text == "Echo: một hai", final
        assert final.usage.total_tokens > 0, final
    broken = CLIENT.responses.create(model=model, input=told(error_after=1), stream=True)
    try:
        assert list(broken)[-1].type in ("error", "response.failed")
    except openai.APIError:
        pass


def stored_responses(model="gpt-4o-mini"):
    first = CLIENT.responses.create(model=model, input="keep me")
    assert CLIENT.responses.retrieve(first.id).output_text == "Echo: keep me"
    items = CLIENT.responses.input_items.list(first.id)
    assert items.data[0].content[0].text == "keep me", items
    second = CLIENT.responses.create(model=model, input="more", previous_response_id=first.id)
    assert second.previous_response_id == first.id, second
    assert CLIENT.responses.cancel(first.id).id == first.id
    CLIENT.responses.delete(first.id)
    fails(openai.NotFoundError, lambda: CLIENT.responses.retrieve(first.id))


def moderations():
    answer = CLIENT.moderations.create(model="omni-moderation-latest", input=["hello", "kill"])
    assert [one.flagged for one in answer.results] == [False, True], answer
    assert answer.results[1].categories.violence, answer


def speech():
    with CLIENT.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input="một hai"
    ) as answer:
        assert answer.headers["content-type"] == "audio/mpeg", answer.headers
        sound = answer.read()
    frame = b"\xff\xfb\x90\x00"
    assert sound.split(frame) == [b"", b"Echo: ", "một ".encode(), b"hai"], sound


def transcriptions():
    sound = bytes(range(256)) * 8
    answer = CLIENT.audio.transcriptions.create(
        model="gpt-4o-mini-transcribe", file=("tiếng.mp3", io.BytesIO(sound), "audio/mpeg")
    )
    assert answer.text == f"Echo: tiếng.mp3 with {len(sound)} bytes", answer


def images():
    answer = CLIENT.images.generate(model="gpt-image-1", prompt="a weir", n=2)
    assert len(answer.data) == 2 and answer.data[0].b64_json, answer


def files():
    lines = b'{"custom_id": "1"}\n' + bytes(range(256))
    made = CLIENT.files.create(file=("batch.jsonl", lines), purpose="batch")
    assert made.bytes == len(lines) and made.filename == "batch.jsonl", made
    assert CLIENT.files.retrieve(made.id) == made
    assert made.id in [one.id for one in CLIENT.files.list()]
    assert CLIENT.files.content(made.id).read() == lines
    assert CLIENT.files.delete(made.id).deleted
    fails(openai.NotFoundError, lambda: CLIENT.files.retrieve(made.id))


def batches():
    made = CLIENT.files.create(file=("batch.jsonl", b"{}\n"), purpose="batch")
    batch = CLIENT.batches.create(
        input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert batch.status == "validating", batch
    assert CLIENT.batches.retrieve(batch.id).input_file_id == made.id
    assert batch.id in [one.id for one in CLIENT.batches.list()]
    assert CLIENT.batches.cancel(batch.id).status == "cancelling"


ALL = [
    embeddings,
    completions,
    responses,
    response_streams,
    stored_responses,
    moderations,
    speech,
    transcriptions,
    images,
    files,
    batches,
]

known = {call.__name__: call for call in ALL}
for asked in CALLS or known:
    name, _, model = asked.partition("=")
    try:
        known[name](*filter(None, [model]))
    except Exception:
        print(f"FAILED: {asked}")
        raise
    print(f"ok: {asked}")
