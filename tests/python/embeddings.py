"""Embeddings with OpenAI's own package, which asks for base64 unless it is told otherwise.

usage: embeddings.py BASE_URL KEY PROVIDER_URL MODEL...   the vectors are those of the provider itself
"""

import sys

from openai import OpenAI

BASE_URL, KEY, PROVIDER_URL, *MODELS = sys.argv[1:]
CLIENT = OpenAI(base_url=BASE_URL, api_key=KEY, timeout=20, max_retries=0)
PROVIDER = OpenAI(base_url=PROVIDER_URL, api_key="none", timeout=20, max_retries=0)

for model in MODELS:
    text = f"một {model}"
    expect = PROVIDER.embeddings.create(model="m", input=text, encoding_format="float")
    for options in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
        answer = CLIENT.embeddings.create(model=model, input=text, **options)
        vector = answer.data[0].embedding
        if "base64" in options.values():
            assert isinstance(vector, str), (model, answer)
        else:
            assert vector == expect.data[0].embedding, (model, options, answer)
        assert answer.usage.prompt_tokens > 0, (model, answer)
    print("ok", model)
