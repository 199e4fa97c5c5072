"""What the judges share: strict reading by other people's types, and a list of what they found.

A judge reads golden files with the official packages' own types, so that code and tests do not only
agree with each other. Files that are wrong on purpose are named, with the reason; such a file that
turns out to be right is a finding too.
"""

import json
import pathlib
import sys
import typing
import warnings

import pydantic

TESTDATA = pathlib.Path(__file__).parents[2] / "engine" / "testdata"

# Members that OpenAI's types do not have: filters of Azure, and what others add to its format.
KNOWN = {
    "citation_tokens",
    "citations",
    "content_filter_offsets",
    "content_filter_results",
    "cost",
    "extra_content",
    "metadata",
    "num_search_queries",
    "prefix",
    "prompt_cache_hit_tokens",
    "prompt_cache_miss_tokens",
    "prompt_filter_results",
    "reasoning_content",
    "search_context_size",
    "search_results",
    "thinking_blocks",
}

warnings.simplefilter("error")
warnings.filterwarnings("default", module="google.auth")


class Wrong(Exception):
    """A document that a package does not take."""


def worded(error):
    """An error in a few lines: of a union only the branches that were meant."""
    if not isinstance(error, pydantic.ValidationError):
        return f"{type(error).__name__}: {error}"
    faults = error.errors(include_url=False, include_input=False)
    tags = ("type", "role", "object")
    not_meant = {
        fault["loc"][:-1]
        for fault in faults
        if fault["type"] == "literal_error" and fault["loc"][-1] in tags
    }

    def meant(fault):
        return not any(fault["loc"][: len(prefix)] == prefix for prefix in not_meant)

    shown = [fault for fault in faults if meant(fault)] or faults
    lines = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in shown[:6]]
    return "\n    ".join(["", *lines, *(["..."] if len(shown) > 6 else [])])


class Judge:
    def __init__(self):
        self.read = 0
        self.findings = []

    def case(self, name, check, wrong=None):
        """Runs `check`. `wrong` says why it must fail, for files that are wrong on purpose."""
        self.read += 1
        try:
            check()
        except Exception as error:
            if wrong is None:
                self.findings.append(f"{name}: {worded(error)}")
        else:
            if wrong is not None:
                self.findings.append(f"{name}: is right, but should not be: {wrong}")

    def report(self):
        for finding in self.findings:
            print(f"- {finding}\n")
        print(f"{self.read} documents read, {len(self.findings)} findings")
        if self.findings or not self.read:
            sys.exit(1)


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def files(folder, pattern):
    found = sorted((TESTDATA / folder).glob(pattern))
    if not found:
        raise SystemExit(f"nothing is called {pattern} in {folder}")
    return found


def strict_model(model, value, known=()):
    """Reads `value` as `model`: nothing is missing, of another type, or unknown but for `known`."""
    read = pydantic.TypeAdapter(model).validate_json(json.dumps(value), strict=True)
    unknown = sorted(set(extras(read)) - set(known))
    if unknown:
        raise Wrong(f"unknown members {unknown}")
    return read


def extras(value):
    """Names of members that the types of `value` do not have."""
    if isinstance(value, pydantic.BaseModel):
        yield from value.model_extra or {}
        for name in type(value).model_fields:
            yield from extras(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from extras(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from extras(one)


def parameters(kind):
    """A reader of request parameters, which the packages type as dictionaries."""
    # A dictionary by itself takes no configuration from outside.
    config = pydantic.ConfigDict(extra="forbid", strict=True)
    adapter = pydantic.TypeAdapter(typing.Optional[kind], config=config)

    def read(value):
        # Some types have a configuration of their own, and leave out what they do not know.
        if unknown := sorted(lost(value, spent(adapter.validate_python(value)))):
            raise Wrong(f"unknown members {unknown}")

    return read


def spent(value):
    """Iterables are read lazily, and so are their faults. Models take members of any name."""
    if isinstance(value, pydantic.BaseModel):
        if unknown := sorted(extras(value)):
            raise Wrong(f"unknown members {unknown}")
        return value
    if isinstance(value, dict):
        return {name: spent(one) for name, one in value.items()}
    if isinstance(value, (str, bytes, int, float, bool, type(None))):
        return value
    return [spent(one) for one in value]


def lost(value, read):
    """Names of members of `value` that `read` does not have."""
    if isinstance(value, dict) and isinstance(read, dict):
        yield from value.keys() - read.keys()
        for name in value.keys() & read.keys():
            yield from lost(value[name], read[name])
    elif isinstance(value, list) and isinstance(read, list):
        for one, other in zip(value, read):
            yield from lost(one, other)


def sse(text):
    """`(event, data)` of each event, by the reader of OpenAI's package."""
    from openai._streaming import SSEDecoder

    for event in SSEDecoder().iter_bytes(iter([text])):
        yield event.event, event.data
