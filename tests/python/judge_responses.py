"""Reads golden files of the Responses format with the official client's own types and machinery.

python tests/python/judge_responses.py [engine/testdata/ingress/responses]

Everything that Weir writes in this format must be valid for the `openai` package: requests that it
makes of a client's, answers, and streams, which are also replayed through the real client. Exits
with 1 and a line per finding.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import openai
from openai.types.chat import completion_create_params
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter, ValidationError

EVENT = TypeAdapter(ResponseStreamEvent)
CHAT = TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming)
CHAT_STREAM = TypeAdapter(completion_create_params.CompletionCreateParamsStreaming)
ENDS = {"response.completed", "response.incomplete", "response.failed"}

findings = []


def find(path, what):
    findings.append(f"{path.name}: {what}")


def judge_request(path):
    golden = json.loads(path.read_text())
    if "refused" in golden:
        if not golden["param"]:
            find(path, "a refusal without the place")
        return
    chat = golden["chat"]
    adapter = CHAT_STREAM if chat.get("stream") else CHAT
    try:
        adapter.validate_python(chat)
    except ValidationError as error:
        find(path, error)


def judge_answer(path):
    body = json.loads(path.read_text())
    try:
        response = Response.model_validate(body)
    except ValidationError as error:
        return find(path, error)
    texts = [
        part["text"]
        for item in body["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    ]
    if response.output_text != "".join(texts):
        find(path, "output_text differs")


def events_of(text):
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            name, data = lines
            yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def judge_stream(path):
    text = path.read_text()
    events = list(events_of(text))
    for number, (name, data) in enumerate(events):
        if data["type"] != name or data["sequence_number"] != number:
            find(path, f"event {number} is not named and numbered as it should be")
        try:
            EVENT.validate_python(data)
        except ValidationError as error:
            find(path, f"{name}: {error}")
    failed = events[-1][0] == "error"
    end = events[-2 if failed else -1][0]
    if end not in ENDS or failed != (end == "response.failed"):
        find(path, f"ends with {end}")
    replay(path, text, failed)


def replay(path, text, failed):
    """Sends the stream to the real client, through both of its interfaces."""
    client = serve(text.encode())
    try:
        for _ in client.responses.create(model="m", input="a", stream=True):
            pass
        raised = False
    except openai.APIError as error:
        raised = bool(error.message)
    if raised != failed:
        find(path, f"the client raised: {raised}")
    if failed:
        return
    kinds = set()
    with client.responses.stream(model="m", input="a") as stream:
        for event in stream:
            kinds.add(event.type)
        if "response.completed" not in kinds:
            return
        final = stream.get_final_response()
    last = [data for _, data in events_of(text)][-1]
    wanted = Response.model_validate(last["response"])
    if final.output_text != wanted.output_text or len(final.output) != len(wanted.output):
        find(path, "the client collects something else")
    if final.usage != wanted.usage:
        find(path, "the client sees another usage")


class Handler(BaseHTTPRequestHandler):
    """Answers every request with the stream at hand."""

    stream = b""

    def do_POST(self):  # noqa: N802, the name that the base class calls
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(self.stream)))
        self.end_headers()
        self.wfile.write(self.stream)

    def log_message(self, *args):
        pass


def serve(stream):
    Handler.stream = stream
    url = f"http://127.0.0.1:{SERVER.server_port}/v1"
    return openai.OpenAI(api_key="k", base_url=url, max_retries=0)


SERVER = HTTPServer(("127.0.0.1", 0), Handler)


def main():
    root = Path(__file__).resolve().parents[2] / "engine/testdata/ingress/responses"
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else root
    Thread(target=SERVER.serve_forever, daemon=True).start()
    count = 0
    for folder, suffix, judge in [
        ("requests", ".chat.json", judge_request),
        ("answers", ".response.json", judge_answer),
        ("streams", ".events.sse", judge_stream),
    ]:
        goldens = sorted((root / folder).glob("*" + suffix))
        if not goldens:
            findings.append(f"{folder}: no goldens")
        for path in goldens:
            judge(path)
            count += 1
    print("\n".join(findings) or f"{count} goldens are valid for openai {openai.__version__}")
    sys.exit(bool(findings))


main()
