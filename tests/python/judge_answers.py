"""What providers answer in our tests, read by the official packages; and what we make of it, read by
OpenAI's."""

import warnings

import anthropic.types
import bedrock_model
import openai.types.chat
from google.genai import types as google
from judge import KNOWN, Judge, Wrong, files, load, strict_model

# Providers' answers that are meant to be wrong.
FAULTS = {
    "anthropic-error": "an error in place of an answer",
    "anthropic-html": "a page of a proxy",
    "anthropic-no-usage": "no usage",
    "anthropic-not-a-message": "another document",
    "anthropic-server-tools": "a block of a kind to come",
    "anthropic-unknown-stop": "a reason to come",
    "azure-error-in-200": "an error in place of an answer",
    "bedrock-error-in-200": "an error in place of an answer",
    "bedrock-no-usage": "no usage",
    "gemini-error-list": "an error in place of an answer",
    "gemini-no-answer": "another document",
    "gemini-two-candidates": "a reason to come",
    "openai-array": "another document",
    "openai-error-in-200": "an error in place of an answer",
    "openai-error-null": "a member of no package",
    "openai-truncated": "half a document",
}


def anthropic_answer(value):
    strict_model(anthropic.types.Message, value)


def google_answer(value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        google.GenerateContentResponse.model_validate(value)


def openai_answer(value):
    answer = strict_model(openai.types.chat.ChatCompletion, value, KNOWN)
    if not answer.choices:
        raise Wrong("no choices")


PROVIDERS = {
    "anthropic": anthropic_answer,
    "azure": openai_answer,
    "bedrock": bedrock_model.answer,
    "gemini": google_answer,
    "openai": openai_answer,
}

judge = Judge()
for path in files("dialect/answers", "*.json"):
    name = path.name.removesuffix(".json")
    provider = name.split("-")[0]
    if name.endswith(".expected"):
        body = load(path)["body"]
        if isinstance(body, dict) and "error" not in body:
            judge.case(path.name, lambda: openai_answer(body))
    elif provider in PROVIDERS:
        judge.case(path.name, lambda: PROVIDERS[provider](load(path)), FAULTS.pop(name, None))
assert not FAULTS, f"nothing is called {FAULTS}"
judge.report()
