// OpenAI's own package for Node.js: chat, streams, tools, error classes, leaving early, responses.
//
// usage: openai.mjs GATEWAY_URL KEY PROVIDER_URL MODEL...

import assert from "node:assert/strict";
import OpenAI from "openai";
import { atProvider, BASE_URL, CITY, KEY, PARAMETERS, run, told } from "./harness.mjs";

const client = new OpenAI({ baseURL: BASE_URL, apiKey: KEY, timeout: 20_000, maxRetries: 0 });
const user = (content) => [{ role: "user", content }];
const tools = [
  { type: "function", function: { name: "weather", description: "Weather", parameters: PARAMETERS } },
];

async function chat(model) {
  const answer = await client.chat.completions.create({ model, messages: user("Xin chào!") });
  assert.equal(answer.choices[0].message.content, "Echo: Xin chào!");
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.usage.total_tokens > 0);
  const cut = await client.chat.completions.create({
    model, messages: user("một hai ba"), max_completion_tokens: 2,
  });
  assert.equal(cut.choices[0].finish_reason, "length");
}

async function stream(model) {
  const stream = await client.chat.completions.create({
    model, messages: user("một hai ba"), stream: true, stream_options: { include_usage: true },
  });
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, "Echo: một hai ba");
  assert.ok(usage.total_tokens > 0);
}

async function streamHelper(model) {
  const stream = client.chat.completions.stream({ model, messages: user("Weather?"), tools });
  const final = await stream.finalChatCompletion();
  const call = final.choices[0].message.tool_calls[0];
  assert.equal(final.choices[0].finish_reason, "tool_calls");
  assert.deepEqual(JSON.parse(call.function.arguments), CITY);
}

async function toolRunner(model) {
  const runner = client.chat.completions.runTools({
    model,
    messages: user("Weather?"),
    tools: [{
      type: "function",
      function: {
        name: "weather", description: "Weather", parameters: PARAMETERS, parse: JSON.parse,
        function: ({ city }) => `sunny in ${city}`,
      },
    }],
  });
  assert.equal(await runner.finalContent(), "Echo: sunny in Hà Nội");
}

async function structured(model) {
  const answer = await client.chat.completions.parse({
    model,
    messages: user(told({ text: JSON.stringify(CITY) })),
    response_format: {
      type: "json_schema",
      json_schema: { name: "place", strict: true, schema: PARAMETERS },
    },
  });
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), CITY);
}

async function errors(model) {
  const ask = (content, other = client) =>
    other.chat.completions.create({ model, messages: user(content) });
  await assert.rejects(ask(told({ status: 429 })), OpenAI.RateLimitError);
  await assert.rejects(ask(told({ status: 500 })), OpenAI.InternalServerError);
  await assert.rejects(ask(told({ status: 400 })), OpenAI.BadRequestError);
  const stranger = new OpenAI({ baseURL: BASE_URL, apiKey: "vk-nobody", maxRetries: 0 });
  await assert.rejects(ask("x", stranger), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError, error);
    assert.equal(error.code, "invalid_api_key");
    return true;
  });
  await assert.rejects(
    client.chat.completions.create({ model: "no-such-model", messages: user("x") }),
    (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError, error);
      assert.equal(error.code, "model_not_found");
      return true;
    },
  );
}

async function brokenStream(model) {
  for (const fault of [{ error_after: 2 }, { ending: "close", after_chunks: 2 }]) {
    const stream = await client.chat.completions.create({
      model, messages: user(told({ chunks: 4, ...fault })), stream: true,
    });
    let text = "";
    await assert.rejects(async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
    }, OpenAI.APIError);
    assert.equal(text, "tok0 tok1 ");
  }
}

async function abort(model) {
  const mark = `leaves-early-${model}`;
  const stream = await client.chat.completions.create({
    model, stream: true, messages: user(`${mark} ${told({ chunks: 400, chunk_ms: 25 })}`),
  });
  let chunks = 0;
  for await (const chunk of stream) {
    chunks += chunk.choices.length;
    if (chunks === 4) stream.controller.abort();
  }
  const record = await atProvider(mark, (record) => record.aborted);
  assert.ok(record.chunks_sent < 100, `${record.chunks_sent} chunks were made`);
}

async function responses(model) {
  const answer = await client.responses.create({ model, input: "Xin chào!" });
  assert.equal(answer.output_text, "Echo: Xin chào!");
  assert.equal(answer.status, "completed");
  const asked = {
    model, input: "Weather?",
    tools: [{ type: "function", name: "weather", parameters: PARAMETERS, strict: true }],
  };
  const final = await client.responses.stream(asked).finalResponse();
  const call = final.output.find((item) => item.type === "function_call");
  assert.deepEqual(JSON.parse(call.arguments), CITY);
}

await run([
  chat, stream, streamHelper, toolRunner, structured, errors, brokenStream, abort, responses,
]);
