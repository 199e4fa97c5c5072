"""Reading by botocore's model of Bedrock's runtime."""

import base64
import json
import re
import urllib.parse

from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.validate import ParamValidator

from judge import Wrong

MODEL = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")


def request(path, body):
    """Checks a request to `/model/ID/converse` and the like."""
    _, _, model, method = path.split("/")
    name = {"converse": "Converse", "converse-stream": "ConverseStream"}[method]
    shape = MODEL.operation_model(name).input_shape
    check(shape, {"modelId": urllib.parse.unquote(model), **body})


def answer(body):
    """Checks an answer, and that botocore's own parser takes it."""
    shape = MODEL.operation_model("Converse").output_shape
    check(shape, body)
    whole = {"status_code": 200, "headers": {}, "body": json.dumps(body).encode()}
    parsed = create_parser("rest-json").parse(whole, shape)
    if "output" not in parsed or "usage" not in parsed:
        raise Wrong(f"parsed to {parsed}")


def stream(data):
    """Checks each message of a stream; both checksums are botocore's work."""
    shape = MODEL.operation_model("ConverseStream").output_shape.members["stream"]
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    seen = []
    for message in buffer:
        kind = message.headers[":message-type"]
        name = message.headers[f":{kind}-type"] if kind != "error" else "error"
        if kind != "event":
            raise Wrong(f"{kind} {name}")
        if name not in shape.members:
            raise Wrong(f"no event is called {name}")
        body = json.loads(message.payload)
        # Padding, which the model does not know.
        body.pop("p", None)
        check(shape.members[name], body)
        seen.append(name)
    if buffer._data:
        raise Wrong("a message is cut")
    if seen[-1:] != ["metadata"] or "messageStop" not in seen:
        raise Wrong(f"ends with {seen[-2:]}")


def check(shape, value):
    """What botocore checks of a request, and what only the service would."""
    value = plain(shape, value)
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise Wrong(report.generate_report())
    faults = list(unlike(shape, value, ""))
    if faults:
        raise Wrong("; ".join(faults))


def plain(shape, value):
    """JSON as botocore has it: bytes in place of base64."""
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        known = shape.members
        return {n: plain(known[n], v) if n in known else v for n, v in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [plain(shape.member, one) for one in value]
    return value


def unlike(shape, value, place):
    """Words that are in no enumeration, and strings that are unlike their pattern."""
    if shape.type_name == "structure" and not shape.is_document_type:
        for name, one in value.items():
            yield from unlike(shape.members[name], one, f"{place}.{name}")
    elif shape.type_name == "list":
        for index, one in enumerate(value):
            yield from unlike(shape.member, one, f"{place}[{index}]")
    elif shape.type_name == "string":
        words, pattern = shape.enum, shape.metadata.get("pattern")
        if words and value not in words:
            yield f"{place}: {value!r} is none of {words}"
        if pattern and not re.fullmatch(pattern, value, re.ASCII):
            yield f"{place}: {value!r} is unlike {pattern}"
