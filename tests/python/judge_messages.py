"""What clients of Anthropic's Messages get from any provider, read by Anthropic's own package: answers
by its types, streams by its client. And what becomes of their requests, by the types of both sides."""

import anthropic
import anthropic.types
import anthropic.types.message_create_params as anthropic_params
import httpx2
import openai.types.chat.completion_create_params as openai_params
import pydantic
from anthropic.types import RawMessageStreamEvent
from judge import Judge, Wrong, extras, files, load, parameters, strict_model

# Requests that Anthropic's types do not have but its clients send.
NOT_TYPED = {
    "google-signature": "what an answer held",
    "mcp-servers": "a beta",
    "parameters": "sampling, which version 2026-10-21 has not",
    "schema-with-optional-members": "a beta, since renamed",
    "tool-choice-none": "a member that says nothing there",
    "unknown-members": "unknown members",
    "unsigned-thinking-history": "thinking of another provider",
}
# Faults that no type shows.
UNSEEN = ("bad-cap-zero", "bad-no-messages", "bad-no-model")
# What no chat completion has but other providers understand.
EXTENSIONS = (
    "cache_control",
    "extra_content",
    "reasoning_content",
    "thinking",
    "thinking_blocks",
    "top_k",
)
# What goes to clients beside Anthropic's own: Google's signature of a call.
BESIDE = {"extra_content", "google"}
# Streams that end with an error.
ERRORS = ("cut", "done-without-finish", "error-at-once", "error-in-the-middle")

judge = Judge()


def message(value):
    strict_model(anthropic.types.Message, value, BESIDE)


def client(name, body):
    def answer(request):
        kind = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=kind, content=body, request=request)

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    return anthropic.Anthropic(api_key="k", http_client=transport, max_retries=0)


def consumed(name, body):
    """The message that Anthropic's client makes of a stream."""
    question = {"role": "user", "content": "a"}
    with client(name, body).messages.stream(
        model="m", max_tokens=9, messages=[question]
    ) as stream:
        for event in stream:
            if unknown := set(extras(event)) - BESIDE - {"snapshot", "parsed_output"}:
                raise Wrong(f"unknown members {unknown}")
        final = stream.get_final_message()
    for block in final.content:
        if block.type == "tool_use" and not isinstance(block.input, dict):
            raise Wrong(f"the input of {block.id} is {block.input!r}")
    if final.stop_reason is None:
        raise Wrong("no stop reason")
    if name == "google-signature":
        back = final.to_param()["content"][0].model_dump(exclude_unset=True)
        if "extra_content" not in back:
            raise Wrong(f"the signature is lost: {back}")


def failed(name, body):
    try:
        consumed(name, body)
    except anthropic.APIStatusError as error:
        if not error.body or error.body["type"] != "error":
            raise Wrong(f"not Anthropic's error: {error.body}")
        return
    raise Wrong("no error")


def events(text):
    """Each event by its strict type; those beside the message by hand."""
    adapter = pydantic.TypeAdapter(RawMessageStreamEvent)
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if not lines or lines["event"] in ("ping", "error"):
            continue
        event = adapter.validate_json(lines["data"], strict=True)
        if unknown := set(extras(event)) - BESIDE:
            raise Wrong(f"unknown members {unknown}")


def chat(body):
    """A chat completion request, without what OpenAI does not know."""

    def plain(value):
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items() if name not in EXTENSIONS}
        return [plain(one) for one in value] if isinstance(value, list) else value

    read_chat(plain(body))


for path in files("ingress/messages/answers", "*.message.json"):
    judge.case(path.name, lambda: message(load(path)))

for path in files("ingress/messages/streams", "*.events.sse"):
    name = path.name.removesuffix(".events.sse")
    body = path.read_bytes()
    judge.case(path.name, lambda: (failed if name in ERRORS else consumed)(name, body))
    judge.case(f"{path.name}, event by event", lambda: events(body.decode()))

read_messages = parameters(anthropic_params.MessageCreateParamsNonStreaming)
read_messages_stream = parameters(anthropic_params.MessageCreateParamsStreaming)
read_chat_whole = parameters(openai_params.CompletionCreateParamsNonStreaming)
read_chat_stream = parameters(openai_params.CompletionCreateParamsStreaming)


def read_chat(body):
    (read_chat_stream if body.get("stream") else read_chat_whole)(body)


for path in files("ingress/messages/requests", "*.chat.json"):
    name = path.name.removesuffix(".chat.json")
    sent, seen = load(path.with_name(f"{name}.json")), load(path)
    read = read_messages_stream if sent.get("stream") else read_messages
    on_purpose = name.startswith("bad-") and name not in UNSEEN
    wrong = "a fault on purpose" if on_purpose else NOT_TYPED.pop(name, None)
    judge.case(f"{name}.json", lambda: read(sent), wrong)
    if "body" in seen:
        judge.case(path.name, lambda: chat(seen["body"]))
assert not NOT_TYPED, f"nothing is called {NOT_TYPED}"
judge.report()
