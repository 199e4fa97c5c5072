// What the scripts beside this file share.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

export const [GATEWAY, KEY, PROVIDER, ...MODELS] = process.argv.slice(2);
export const BASE_URL = `${GATEWAY}/v1`;
export const CITY = { city: "Hà Nội" };
export const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

/** Asks the fake provider for a behaviour. */
export const told = (behaviour) => `<<${JSON.stringify(behaviour)}>>`;

/** Waits until the provider's record of a request with `text` fulfils `wanted`. */
export async function atProvider(text, wanted) {
  for (let tries = 0; tries < 100; tries += 1) {
    const records = await (await fetch(`${PROVIDER}/_requests`)).json();
    const found = records.find((record) => record.body.includes(text) && wanted(record));
    if (found) return found;
    await sleep(50);
  }
  throw new Error(`never at the provider: ${text}`);
}

/** Runs each case with each model; prints what was run. */
export async function run(cases) {
  for (const model of MODELS) {
    for (const one of cases) {
      try {
        await one(model);
      } catch (error) {
        console.error(`FAILED: ${one.name} with ${model}`);
        throw error;
      }
      console.log(`ok: ${one.name} with ${model}`);
    }
  }
  assert.ok(MODELS.length > 0, "no model was named");
}
