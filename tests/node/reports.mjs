// What guardrails did, as OpenAI's package and Vercel's see it in answers and at the end of streams.
//
// usage: reports.mjs GATEWAY_URL KEY PROVIDER_URL MODEL...

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { BASE_URL, KEY, run } from "./harness.mjs";

const RULES = {
  guardrails: {
    input: [{ type: "pii_detection", action: "redact" }],
    output: [{ type: "pii_detection", action: "mask" }],
    report: true,
  },
};
const ECHO = "I am ann@example.com";
const headers = { "x-portkey-config": JSON.stringify(RULES) };

const client = new OpenAI({
  baseURL: BASE_URL, apiKey: KEY, timeout: 20_000, maxRetries: 0, defaultHeaders: headers,
});
const vercel = createOpenAI({ baseURL: BASE_URL, apiKey: KEY, headers });

function check(results) {
  const [hook] = results.before_request_hooks;
  assert.deepEqual(hook.checks[0].data, { type: "EMAIL", action: "redact", count: 1 });
  assert.deepEqual(results.after_request_hooks, []);
  assert.ok(!JSON.stringify(results).includes("example.com"));
}

async function chat(model) {
  const asked = { model, messages: [{ role: "user", content: ECHO }] };
  const answer = await client.chat.completions.create(asked);
  check(answer.hook_results);
  for (const stream_options of [undefined, { include_usage: true }]) {
    const chunks = [];
    const stream = await client.chat.completions.create({ ...asked, stream: true, stream_options });
    for await (const chunk of stream) chunks.push(chunk);
    check(chunks.pop().hook_results);
    assert.ok(chunks.every((chunk) => chunk.hook_results === undefined));
  }
  const final = await client.chat.completions.stream(asked).finalChatCompletion();
  assert.match(final.choices[0].message.content, /\[EMAIL_REDACTED\]/);
}

async function responses(model) {
  const asked = { model, input: ECHO, store: false };
  const answer = await client.responses.create(asked);
  check(answer.hook_results);
  const stream = client.responses.stream(asked);
  const final = await stream.finalResponse();
  check(final.hook_results);
  assert.match(final.output_text, /\[EMAIL_REDACTED\]/);
}

/** Vercel's package checks every chunk against a schema. */
async function strict(model) {
  for (const of of [vercel.chat, vercel.responses]) {
    const asked = { model: of(model), prompt: ECHO, maxRetries: 0 };
    const answer = await generateText(asked);
    assert.match(answer.text, /\[EMAIL_REDACTED\]/);
    const failed = [];
    const stream = streamText({ ...asked, onError: ({ error }) => failed.push(error) });
    assert.match(await stream.text, /\[EMAIL_REDACTED\]/);
    assert.equal(await stream.finishReason, "stop");
    assert.deepEqual(failed, []);
  }
}

await run([chat, responses, strict]);
