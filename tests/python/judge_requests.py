"""What we send to providers, read by the official packages' own types of their requests."""

import warnings

import bedrock_model
import pydantic
from anthropic.types import message_create_params
from google.genai import types as google
from judge import Judge, Wrong, files, load, parameters
from openai.types.chat import completion_create_params

# Requests that reach a provider with OpenAI's format as the client sent them, and that OpenAI
# itself would refuse.
PASSED_ON = {
    "gemini-3-history": "members of Google's",
    "parameters-no-sampling": "a member that local servers take",
    "systems": "a member of Anthropic's",
    "thinking-history": "members of Anthropic's",
    "thinking-own": "a member of Anthropic's",
    "tool-broken-arguments": "the client's mistake",
    "tool-without-id": "the client's mistake",
    "tools-all-shapes": "tools of other formats",
    "unknown-members": "a member of nobody's",
}

ANTHROPIC = {
    False: parameters(message_create_params.MessageCreateParamsNonStreaming),
    True: parameters(message_create_params.MessageCreateParamsStreaming),
}
OPENAI = {
    False: parameters(completion_create_params.CompletionCreateParamsNonStreaming),
    True: parameters(completion_create_params.CompletionCreateParamsStreaming),
}


def anthropic_request(request):
    body = dict(request["body"])
    # The package speaks version 2026-10-21, which has none of these; we speak 2023-06-01.
    for name in ("temperature", "top_p", "top_k"):
        if not isinstance(body.pop(name, 0), (int, float)):
            raise Wrong(f"{name} is no number")
    ANTHROPIC[body.get("stream", False)](body)


def google_request(request):
    body = dict(request["body"])
    kinds = {
        "contents": list[google.Content],
        "systemInstruction": google.Content,
        "tools": list[google.Tool],
        "toolConfig": google.ToolConfig,
        "generationConfig": google.GenerationConfig,
        "safetySettings": list[google.SafetySetting],
        "cachedContent": str,
        "serviceTier": google.ServiceTier,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, value in body.items():
            if name not in kinds:
                raise Wrong(f"no member is called {name}")
            pydantic.TypeAdapter(kinds[name]).validate_python(value)


def openai_request(body):
    OPENAI[body.get("stream") or False](body)


PROVIDERS = {
    "anthropic": anthropic_request,
    "azure": lambda request: openai_request(request["body"]),
    "bedrock": lambda request: bedrock_model.request(request["path"], request["body"]),
    "gemini": google_request,
    "openai": openai_request,
}

judge = Judge()
for path in files("dialect/requests", "*.*.json"):
    name, provider, _ = path.name.split(".")
    request = load(path)
    if provider in PROVIDERS and "refused" not in request:
        wrong = PASSED_ON.get(name) if provider in ("openai", "azure") else None
        judge.case(path.name, lambda: PROVIDERS[provider](request), wrong)
judge.report()
