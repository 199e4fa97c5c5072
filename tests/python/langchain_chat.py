"""LangChain's ChatOpenAI: invoke, stream, tools, structured output.

usage: langchain_chat.py GATEWAY_URL KEY PROVIDER_URL MODEL...
"""

import json
import sys

import openai
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

GATEWAY, KEY, _, *MODELS = sys.argv[1:]
BASE_URL = f"{GATEWAY}/v1"
CITY = {"city": "Hà Nội"}


@tool
def weather(city: str) -> str:
    """Weather of a city."""
    return f"sunny in {city}"


class Place(BaseModel):
    """Where it is."""

    city: str


def told(**behaviour):
    return f"<<{json.dumps(behaviour)}>>"


def chat(model, **options):
    return ChatOpenAI(
        model=model, base_url=BASE_URL, api_key=KEY, timeout=20, max_retries=0, **options
    )


def invoke(model):
    answer = chat(model).invoke([SystemMessage("Be brief."), HumanMessage("Xin chào!")])
    assert answer.content == "Echo: Xin chào!", answer
    assert answer.response_metadata["finish_reason"] == "stop", answer
    assert answer.usage_metadata["total_tokens"] > 0, answer


def stream(model):
    chunks = list(chat(model, stream_usage=True).stream("một hai ba"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.content == "Echo: một hai ba", whole
    assert len(chunks) > 3, chunks
    assert whole.usage_metadata["total_tokens"] > 0, whole


def bind_tools(model):
    bound = chat(model).bind_tools([weather])
    history = [HumanMessage("Weather?")]
    asked = bound.invoke(history)
    assert [call["args"] for call in asked.tool_calls] == [CITY], asked
    history += [asked, weather.invoke(asked.tool_calls[0])]
    assert isinstance(history[-1], ToolMessage)
    answer = bound.invoke(history)
    assert answer.content == "Echo: sunny in Hà Nội", answer


def streamed_tools(model):
    whole = None
    for chunk in chat(model).bind_tools([weather]).stream("Weather?"):
        whole = chunk if whole is None else whole + chunk
    assert [call["args"] for call in whole.tool_calls] == [CITY], whole


def structured_output(model):
    ask = told(text=json.dumps(CITY))
    for method in ("json_schema", "function_calling", "json_mode"):
        place = chat(model).with_structured_output(Place, method=method).invoke(f"as json {ask}")
        assert place == Place(**CITY), (method, place)


def over_responses(model):
    responses = chat(model, use_responses_api=True)
    assert responses.invoke("Xin chào!").text == "Echo: Xin chào!"
    whole = None
    for chunk in responses.bind_tools([weather]).stream("Weather?"):
        whole = chunk if whole is None else whole + chunk
    assert [call["args"] for call in whole.tool_calls] == [CITY], whole


def errors(model):
    for status, kind in ((429, openai.RateLimitError), (500, openai.InternalServerError)):
        try:
            chat(model).invoke(told(status=status))
        except kind:
            continue
        raise AssertionError(status)
    try:
        list(chat(model).stream(told(chunks=4, error_after=2)))
    except openai.APIError:
        return
    raise AssertionError("a broken stream looked whole")


CASES = [
    invoke,
    stream,
    bind_tools,
    streamed_tools,
    structured_output,
    over_responses,
    errors,
]

for name in MODELS:
    for case in CASES:
        try:
            case(name)
        except Exception:
            print(f"FAILED: {case.__name__} with {name}")
            raise
        print(f"ok: {case.__name__} with {name}")
