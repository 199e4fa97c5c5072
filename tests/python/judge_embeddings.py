"""Embeddings as we answer them, read by OpenAI's package, in both encodings."""

import array
import base64

import openai.types
from judge import Judge, Wrong, files, load, strict_model


# Answers in OpenAI's format that lack members of it, and pass as they came.
FAULTS = {
    "mistral-float": "data without an index",
    "mistral-int8": "data without an index",
    "openai-base64-escaped": "data without an index",
    "openai-no-usage": "data without an index",
    "openai-overflow": "data without an index",
    "openai-strings": "text in place of numbers",
}


def vectors(floats, encoded):
    answer = strict_model(openai.types.CreateEmbeddingResponse, floats)
    indices = [one.index for one in answer.data]
    if indices != list(range(len(indices))):
        raise Wrong(f"indices {indices}")
    for one, other in zip(answer.data, encoded["data"], strict=True):
        # As the package reads it.
        numbers = array.array("f", base64.b64decode(other["embedding"], validate=True)).tolist()
        if numbers != array.array("f", one.embedding).tolist():
            raise Wrong(f"{numbers} is not {one.embedding}")


judge = Judge()
for path in files("embeddings/answers", "*.expected.json"):
    name = path.name.removesuffix(".expected.json")
    bodies = [kind.get("body") for kind in load(path).values()]
    bodies = [load(path.with_name(f"{name}.json")) if b == "unchanged" else b for b in bodies]
    if bodies[0] and "data" in bodies[0]:
        judge.case(path.name, lambda: vectors(*bodies), FAULTS.get(name))
judge.report()
