"""The quick reference's examples, with OpenAI's own package.

usage: quick_reference.py GATEWAY_URL VIRTUAL_KEY ADMIN_TOKEN PROVIDER_URL
"""

import collections
import json
import sys
import time
import urllib.request

import openai
from openai import OpenAI

GATEWAY, KEY, ADMIN_TOKEN, PROVIDER = sys.argv[1:5]


def call(method, url, body=None, headers=None):
    """A plain HTTP call; returns status and text."""
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status, answer.read().decode()


def at_provider(text):
    """Bodies that the provider received and that contain `text`."""
    _, records = call("GET", f"{PROVIDER}/_requests")
    return [record for record in json.loads(records) if text in record["body"]]


def client(key=KEY, **options):
    return OpenAI(base_url=f"{GATEWAY}/v1", api_key=key, timeout=20, **options)


def first_request():
    response = client().chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Xin chào!"}],
    )
    assert response.choices[0].message.content == "Echo: Xin chào!", response
    assert response.usage.total_tokens > 0, response
    metadata = response.metadata
    assert metadata["provider"] == "openai", metadata
    assert metadata["cache_hit"] is False, metadata
    assert metadata["cost_usd"] > 0, metadata


def stream():
    for options in ({}, {"stream_options": {"include_usage": True}}):
        chunks = list(client().chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "một hai ba"}],
            stream=True,
            **options,
        ))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == "Echo: một hai ba", text
        usage = [c.usage for c in chunks if c.usage]
        assert len(usage) == (1 if options else 0), chunks
        assert all(c.choices for c in chunks) or options, chunks


def fallback():
    config = {
        "strategy": "fallback",
        "targets": [
            {"provider": "openai", "model": "fault-500"},
            {"provider": "anthropic", "model": "claude-3-sonnet"},
            {"provider": "ollama", "model": "llama3:8b"},
        ],
    }
    response = client().chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "quick fallback"}],
        extra_headers={"x-portkey-config": json.dumps(config)},
    )
    assert response.choices[0].message.content == "Echo: quick fallback", response
    assert response.metadata["provider"] == "anthropic", response


def example_1_with_on_errors():
    config = {
        "strategy": "fallback",
        "targets": [
            {"provider": "openai", "model": "fault-429", "on_errors": ["timeout", "rate_limit"]},
            {"provider": "anthropic", "model": "claude-3-sonnet", "on_errors": ["timeout"]},
            {"provider": "ollama", "model": "llama3:8b", "on_errors": ["*"]},
        ],
        "retry": {"attempts": 1, "on_status_codes": [500, 502, 503], "exponential_backoff": True},
        "cache": {"mode": "semantic", "ttl": 3600},
    }
    response = client().chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "cost-aware fallback"}],
        extra_headers={"x-portkey-config": json.dumps(config)},
    )
    assert response.metadata["provider"] == "anthropic", response


def load_balance():
    config = {
        "strategy": "loadbalance",
        "weights": [
            {"provider": "openai", "model": "gpt-4o-mini", "weight": 0.7},
            {"provider": "anthropic", "model": "claude-3-sonnet", "weight": 0.3},
        ],
    }
    seen = collections.Counter()
    for _ in range(40):
        response = client().chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "balanced"}],
            extra_headers={"x-portkey-config": json.dumps(config)},
        )
        seen[response.metadata["provider"]] += 1
    assert set(seen) == {"openai", "anthropic"} and seen["openai"] > seen["anthropic"], seen


def example_2_gradual_rollout():
    config = {
        "strategy": "loadbalance",
        "weights": [
            {"provider": "openai", "model": "gpt-4o-mini", "weight": 0.9},
            {"provider": "anthropic", "model": "claude-3-5-sonnet-20241022", "weight": 0.1},
        ],
    }
    for _ in range(3):
        response = client().chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "rollout"}],
            extra_headers={"x-portkey-config": json.dumps(config)},
        )
        assert response.metadata["provider"] in ("openai", "anthropic"), response


def example_3_cache():
    config = {
        "strategy": "single",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "cache": {"mode": "semantic", "ttl": 86400},
    }
    hits = []
    for _ in range(2):
        response = client().chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "Quy trình mua sắm tài sản là gì?"}],
            extra_headers={"x-portkey-config": json.dumps(config)},
        )
        hits.append((response.metadata["cache_hit"], response.metadata["cost_usd"] == 0))
        time.sleep(0.3)  # the answer goes to the cache after the client has it
    assert hits == [(False, False), (True, True)], hits


def example_5_budget():
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
    body = json.dumps({"name": "Small", "provider": "openai", "budget_limit_usd": 0.000001})
    _, answer = call("POST", f"{GATEWAY}/admin/virtual-keys", body, headers)
    key = json.loads(answer)["virtual_key"]
    try:
        client(key).chat.completions.create(
            model="gpt-4o-mini",
            max_tokens=100,
            messages=[{"role": "user", "content": "too dear"}],
        )
    except openai.RateLimitError as error:
        assert error.status_code == 429, error
        assert "Monthly budget limit $0.000001 exceeded" in str(error), error
        return
    raise AssertionError("a budget was overspent")


def issue_3_status_among_errors():
    config = {
        "strategy": "fallback",
        "targets": [
            {"provider": "openai", "model": "fault-429",
             "on_errors": ["timeout", "rate_limit", "429"]},
            {"provider": "ollama", "model": "llama3:8b"},
        ],
    }
    response = client().chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "status among errors"}],
        extra_headers={"x-portkey-config": json.dumps(config)},
    )
    assert response.metadata["provider"] == "ollama", response
    assert response.metadata["cost_usd"] == 0, response


def example_4_guardrails():
    config = {
        "guardrails": {
            "input": [{"type": "pii_detection", "action": "redact"}],
            "output": [
                {"type": "pii_detection", "action": "deny"},
                {"type": "content_safety", "threshold": 0.8},
            ],
        }
    }
    client().chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Nhân viên Nguyễn Văn A, CMND 123456789"}],
        extra_headers={"x-portkey-config": json.dumps(config)},
    )
    seen = at_provider("Nhân viên") or at_provider("Nh\\u00e2n vi\\u00ean")
    contents = [json.loads(record["body"])["messages"][0]["content"] for record in seen]
    assert contents == ["Nhân viên [NAME_REDACTED], CMND [CMND_REDACTED]"], contents


def errors_have_the_sdk_classes():
    for key, model, wanted in [
        ("vk-nobody", "gpt-4o-mini", openai.AuthenticationError),
        (KEY, "fault-429", openai.RateLimitError),
        (KEY, "fault-500", openai.InternalServerError),
    ]:
        try:
            client(key, max_retries=0).chat.completions.create(
                model=model, messages=[{"role": "user", "content": "x"}]
            )
        except wanted:
            continue
        raise AssertionError(f"{model} with {key} raised no {wanted}")


def broken_stream_raises():
    try:
        list(client(max_retries=0).chat.completions.create(
            model="fault-close", stream=True,
            messages=[{"role": "user", "content": "one two three four five"}],
        ))
    except openai.APIError:
        return
    raise AssertionError("a stream that broke off looked complete")


def virtual_keys():
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
    body = json.dumps({
        "name": "Production Key",
        "provider": "openai",
        "real_api_key": "sk-quick-first",
        "rate_limit": 100,
        "budget_limit_usd": 500,
    })
    _, answer = call("POST", f"{GATEWAY}/admin/virtual-keys", body, headers)
    record = json.loads(answer)
    key = record["virtual_key"]
    assert key.startswith("vk-"), record
    assert record["created_at"].endswith("Z"), record
    assert (record["rate_limit"], record["budget_limit_usd"]) == (100, 500), record
    assert "sk-quick-first" not in answer, answer

    def used(text):
        client(key).chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": text}]
        )
        (seen,) = at_provider(text)
        return dict(seen["headers"])["authorization"]

    assert used("before rotation") == "Bearer sk-quick-first"
    # As curl sends it: form content type, JSON body.
    call(
        "PUT",
        f"{GATEWAY}/admin/virtual-keys/{key}/rotate",
        '{"new_api_key": "sk-quick-second"}',
        {"Authorization": f"Bearer {ADMIN_TOKEN}",
         "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert used("after rotation") == "Bearer sk-quick-second"


def health_and_metrics():
    status, text = call("GET", f"{GATEWAY}/health")
    health = json.loads(text)
    assert (status, health["status"], health["version"]) == (200, "healthy", "1.0.0"), text
    _, metrics = call("GET", f"{GATEWAY}/metrics")
    assert "# HELP llm_requests_total" in metrics and "# TYPE llm_requests_total counter" in metrics
    labels = ['provider="openai"', 'model="gpt-4o-mini"', 'status="success"']
    lines = [line for line in metrics.splitlines() if line.startswith("llm_requests_total{")]
    assert any(all(label in line for label in labels) for line in lines), metrics


EXAMPLES = [
    first_request,
    stream,
    fallback,
    example_1_with_on_errors,
    load_balance,
    example_2_gradual_rollout,
    example_3_cache,
    example_4_guardrails,
    example_5_budget,
    issue_3_status_among_errors,
    errors_have_the_sdk_classes,
    broken_stream_raises,
    virtual_keys,
    health_and_metrics,
]

failed = []
for example in EXAMPLES:
    try:
        example()
        print("ok  ", example.__name__)
    except Exception as error:  # every example is tried, whatever the others did
        failed.append(example.__name__)
        print("FAIL", example.__name__, repr(error)[:2000])
sys.exit(1 if failed else 0)
