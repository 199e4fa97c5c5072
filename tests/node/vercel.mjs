// Vercel's AI SDK with its OpenAI provider: text, streams, tools, objects.
//
// usage: vercel.mjs GATEWAY_URL KEY PROVIDER_URL MODEL...

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import {
  APICallError, generateObject, generateText, jsonSchema, stepCountIs, streamText, tool,
} from "ai";
import { atProvider, BASE_URL, CITY, KEY, PARAMETERS, run, told } from "./harness.mjs";

const openai = createOpenAI({ baseURL: BASE_URL, apiKey: KEY });
const interfaces = { chat: openai.chat, responses: openai.responses };
const tools = () => ({
  weather: tool({
    description: "Weather",
    inputSchema: jsonSchema(PARAMETERS),
    execute: async ({ city }) => `sunny in ${city}`,
  }),
});

/** The cases, over one of the interfaces that the provider speaks. */
function over(name) {
  const of = interfaces[name];
  const options = { maxRetries: 0 };
  const cases = {
    async text(model) {
      const answer = await generateText({ model: of(model), prompt: "Xin chào!", ...options });
      assert.equal(answer.text, "Echo: Xin chào!");
      assert.equal(answer.finishReason, "stop");
      assert.ok(answer.usage.totalTokens > 0);
    },
    async stream(model) {
      const answer = streamText({
        model: of(model), prompt: "một hai ba", ...options, onError: () => {},
      });
      let text = "";
      for await (const piece of answer.textStream) text += piece;
      assert.equal(text, "Echo: một hai ba");
      assert.equal(await answer.finishReason, "stop");
      assert.ok((await answer.usage).totalTokens > 0);
    },
    async tools(model) {
      const answer = await generateText({
        model: of(model), prompt: "Weather?", tools: tools(), stopWhen: stepCountIs(3), ...options,
      });
      assert.deepEqual(answer.steps[0].toolCalls[0].input, CITY);
      assert.match(answer.text, /^Echo: .*sunny in Hà Nội/);
    },
    async streamedTools(model) {
      const answer = streamText({
        model: of(model), prompt: "Weather?", tools: tools(), stopWhen: stepCountIs(3), ...options,
      });
      const calls = [];
      for await (const part of answer.fullStream) {
        assert.notEqual(part.type, "error", part.error);
        if (part.type === "tool-call") calls.push(part.input);
      }
      assert.deepEqual(calls, [CITY]);
      assert.match(await answer.text, /^Echo: .*sunny in Hà Nội/);
    },
    async object(model) {
      const answer = await generateObject({
        model: of(model), schema: jsonSchema(PARAMETERS), ...options,
        prompt: told({ text: JSON.stringify(CITY) }),
      });
      assert.deepEqual(answer.object, CITY);
    },
    async errors(model) {
      const call = generateText({ model: of(model), prompt: told({ status: 429 }), ...options });
      await assert.rejects(call, (error) => {
        assert.ok(APICallError.isInstance(error), error);
        assert.equal(error.statusCode, 429);
        assert.match(error.message, /was told to fail/);
        return true;
      });
    },
    async brokenStream(model) {
      const answer = streamText({
        model: of(model), prompt: told({ chunks: 4, error_after: 2 }), ...options,
        onError: () => {},
      });
      const kinds = [];
      for await (const part of answer.fullStream) kinds.push(part.type);
      assert.ok(kinds.includes("error"), kinds.join());
      assert.notEqual(await answer.finishReason.then((reason) => reason, () => "none"), "stop");
    },
    async abort(model) {
      const mark = `vercel-leaves-early-${name}-${model}`;
      const leaving = new AbortController();
      const answer = streamText({
        model: of(model), prompt: `${mark} ${told({ chunks: 400, chunk_ms: 25 })}`, ...options,
        abortSignal: leaving.signal, onError: () => {},
      });
      let pieces = 0;
      for await (const _ of answer.textStream) {
        pieces += 1;
        if (pieces === 4) leaving.abort();
      }
      const record = await atProvider(mark, (record) => record.aborted);
      assert.ok(record.chunks_sent < 100, `${record.chunks_sent} chunks were made`);
    },
  };
  return Object.entries(cases).map(([of, one]) => {
    Object.defineProperty(one, "name", { value: `${name}.${of}` });
    return one;
  });
}

await run([...over("chat"), ...over("responses")]);
