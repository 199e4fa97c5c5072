"""Embeddings and older completions in our golden files, read by OpenAI's own types."""

import array
import base64
import json

import openai.types
import openai.types.chat.completion_create_params as chat
from judge import Judge, Wrong, files, load, parameters, sse, strict_model

# What others add to OpenAI's members, and providers to their usage.
ADDED = {"id", "min_p", "prompt_audio_seconds", "prompt_token_details", "completion_tokens"}
ADDED |= {"request_count", "metadata", "service_tier", "x"}
# Answers of providers that leave out what OpenAI's have.
BARE = {"openai-base64-escaped", "openai-no-usage"}

judge = Judge()


def embeddings(numbers, encoded):
    """The same vectors, as numbers and in base64."""
    for body in (numbers, encoded):
        for one in body["data"]:
            if isinstance(one["embedding"], str):
                floats = array.array("f", base64.b64decode(one["embedding"], validate=True))
                one["embedding"] = floats.tolist()
            else:
                one["embedding"] = array.array("f", one["embedding"]).tolist()
        strict_model(openai.types.CreateEmbeddingResponse, body, ADDED)
    if numbers["data"] != encoded["data"]:
        raise Wrong("the encodings differ")


for path in files("embeddings/answers", "*.expected.json"):
    name = path.name.removesuffix(".expected.json")
    given = load(path.with_name(f"{name}.json"))
    made = [load(path)[encoding].get("body") for encoding in ("float", "base64")]
    made = [given if body == "unchanged" else body for body in made]
    if all(body and "error" not in body for body in made) and name not in BARE:
        judge.case(path.name, lambda: embeddings(*json.loads(json.dumps(made))))

read_embeddings = parameters(openai.types.EmbeddingCreateParams)
for path in files("embeddings/requests", "*.expected.json"):
    # Members of other providers, and lists in lists, of which the reader tries the outer one only.
    if path.name.startswith(("everything", "hints", "nulls", "token-lists")):
        continue
    for targets, made in load(path).items():
        if "openai" in targets.split(", ") and "body" in made:
            judge.case(path.name, lambda: read_embeddings(made["body"]))

read_chat = parameters(chat.CompletionCreateParamsNonStreaming)
read_stream = parameters(chat.CompletionCreateParamsStreaming)
for path in files("ingress/completions/requests", "*.expected.json"):
    body = load(path).get("body")
    if body is not None:
        body.pop("min_p", None)
        read = read_stream if body.get("stream") else read_chat
        judge.case(path.name, lambda: read(body))

for path in files("ingress/completions/answers", "*.expected.json"):
    for wish, body in load(path).items():
        judge.case(
            f"{path.name} {wish}", lambda: strict_model(openai.types.Completion, body, ADDED)
        )


def chunk(data):
    value = json.loads(data)
    # The package's type has no null for the reason of a chunk that is not the last.
    for choice in value["choices"]:
        choice["finish_reason"] = choice["finish_reason"] or "stop"
    strict_model(openai.types.Completion, value, ADDED)


def stream(events):
    *chunks, last = events
    if last != "[DONE]" and "error" not in json.loads(last):
        raise Wrong("no end")
    for data in chunks:
        chunk(data)


made = files("ingress/completions/streams", "*.*.sse")
for path in made + files("dialect/streams", "openai-older-*.*.sse"):
    body = path.read_bytes().partition(b"-----\n")[2] or path.read_bytes()
    judge.case(path.name, lambda: stream([data for _, data in sse(body)]))

judge.report()
