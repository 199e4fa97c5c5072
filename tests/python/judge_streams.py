"""Streams of providers in our tests, read by the official packages; and what we make of them, read by
OpenAI's."""

import json
import warnings

import anthropic.types
import bedrock_model
import openai.types.chat
from google.genai import types as google
from judge import KNOWN, Judge, Wrong, files, sse, strict_model
from openai.lib.streaming.chat import ChatCompletionStreamState

# Streams that are meant to be wrong.
FAULTS = {
    "anthropic-broken-event": "half a document",
    "anthropic-cut": "ends before its end",
    "anthropic-eof": "ends before its end",
    "anthropic-eof-before-stop": "ends before its end",
    "anthropic-error": "an error",
    "anthropic-error-at-once": "an error",
    "anthropic-no-last-blank-line": "the package's reader wants the last blank line",
    "anthropic-server-tools": "a block of a kind to come",
    "azure-async-filter": "chunks without a delta",
    "azure-cut": "ends before its end",
    "azure-error": "an error",
    "azure-text": "a first chunk that is no chunk",
    "azure-tools": "a call without arguments",
    "bedrock-corrupt": "a wrong checksum",
    "bedrock-cut": "half a message",
    "bedrock-eof": "ends before its end",
    "bedrock-error": "an exception",
    "bedrock-error-frame": "an error",
    "bedrock-no-metadata": "no usage",
    "bedrock-throttled": "an exception",
    "bedrock-unknown-events": "an event to come",
    "gemini-eof": "ends before its end",
    "gemini-error": "an error",
    "openai-azure-first-chunk": "a first chunk that is no chunk",
    "openai-cut": "ends before its end",
    "openai-done-without-finish": "no finish_reason",
    "openai-error": "an error",
    "openai-error-at-once": "an error",
    "openai-error-event-name": "an error",
    "openai-error-null": "a member of no package",
    "openai-no-choices-member": "a chunk without choices",
    "openai-no-done": "no [DONE]",
    "openai-no-done-no-finish": "ends before its end",
    "openai-no-last-blank-line": "the package's reader wants the last blank line",
    "openai-not-a-chunk": "no document",
    "openai-older-completions": "chunks of older completions",
    "openai-older-without-usage": "chunks of older completions",
    "openai-reasoning": "another name for reasoning",
}

# What is not OpenAI's but comes in its format passes as it is.
PASSED_ON = {
    "openai-azure-first-chunk",
    "openai-done-without-finish",
    "openai-error-null",
    "openai-no-choices-member",
    "openai-older-completions",
    "openai-older-without-usage",
    "openai-reasoning",
}


def anthropic_stream(data):
    kinds = []
    for name, text in sse(data):
        event = json.loads(text)
        if name != event["type"]:
            raise Wrong(f"{name} is not {event['type']}")
        if event["type"] == "ping":
            continue
        strict_model(anthropic.types.RawMessageStreamEvent, event)
        kinds.append(event["type"])
    if kinds[:1] != ["message_start"] or kinds[-2:] != ["message_delta", "message_stop"]:
        raise Wrong(f"{kinds[:1]}..{kinds[-2:]}")


def google_stream(data):
    last = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _, text in sse(data):
            last = google.GenerateContentResponse.model_validate(json.loads(text))
    if last is None or last.candidates and not last.candidates[0].finish_reason:
        raise Wrong("does not end")


def openai_stream(data):
    """Every chunk, and what OpenAI's package makes of them together."""
    state = ChatCompletionStreamState()
    texts = [text for _, text in sse(data)]
    if texts[-1:] != ["[DONE]"]:
        raise Wrong(f"ends with {texts[-1:]}")
    for text in texts[:-1]:
        chunk = strict_model(openai.types.chat.ChatCompletionChunk, json.loads(text), KNOWN)
        state.handle_chunk(chunk)
    final = state.current_completion_snapshot
    for choice in final.choices:
        if not choice.finish_reason:
            raise Wrong("no finish_reason")
        for call in choice.message.tool_calls or ():
            if not isinstance(json.loads(call.function.arguments), dict):
                raise Wrong(f"arguments {call.function.arguments}")


def our_stream(data):
    """What a client gets: a whole stream, or one that ends with an error."""
    head, _, body = data.partition(b"-----\n")
    events = [json.loads(text) for _, text in sse(body) if text != "[DONE]"]
    if b"[DONE]" in body:
        return openai_stream(body)
    *chunks, error = events
    for chunk in chunks:
        strict_model(openai.types.chat.ChatCompletionChunk, chunk, KNOWN)
        if any(choice["finish_reason"] for choice in chunk["choices"]):
            raise Wrong("a stream that broke off looks finished")
    if set(error) != {"error"} or set(error["error"]) != {"message", "type", "param", "code"}:
        raise Wrong(f"no error: {error}")
    return None


PROVIDERS = {
    "anthropic": anthropic_stream,
    "azure": openai_stream,
    "bedrock": bedrock_model.stream,
    "gemini": google_stream,
    "openai": openai_stream,
}

judge = Judge()
for path in files("dialect/streams", "*"):
    name, kind = path.name.split(".", 1)
    provider = name.split("-")[0]
    data = path.read_bytes()
    if kind in ("plain.sse", "usage.sse"):
        if name in PASSED_ON:
            continue
        judge.case(path.name, lambda: our_stream(data))
    elif provider in PROVIDERS:
        judge.case(path.name, lambda: PROVIDERS[provider](data), FAULTS.pop(name, None))
assert not FAULTS, f"nothing is called {FAULTS}"
judge.report()
