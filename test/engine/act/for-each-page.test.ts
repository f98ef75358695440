import assert from "node:assert/strict";
import { test } from "node:test";
import { forEachPage } from "../../../src/engine/act/for-each-page.ts";
import { createKeyedMutex } from "../../../src/engine/keyed-mutex.ts";
import { createSignal } from "../../../src/lifecycle.ts";
import type { Found } from "../../../src/store/store.ts";
import { anyJob } from "../../store/sample.ts";
import { turn } from "../../support/fake-clock.ts";

const none: Found = { ids: [], nextSeq: null };
const options = (signal = new AbortController().signal) => ({ dryRun: true, signal });
const askedBy = (client: string) => ({ client, filter: anyJob, states: ["DEAD"] as const });

test("a client goes through its jobs once at a time, and keeps no other from it", async () => {
  const answers = [createSignal<Found>(), createSignal<Found>(), createSignal<Found>()];
  const asked: string[] = [];
  const parts = {
    perClient: createKeyedMutex(),
    store: {
      find: ({ client }: { readonly client: string }) => {
        asked.push(client);
        return answers[asked.length - 1]?.promise ?? Promise.resolve(none);
      },
    },
  };
  const gone = new AbortController();
  const run = (client: string, signal?: AbortSignal) =>
    forEachPage(parts, askedBy(client), options(signal), async () => {});

  const first = run("eve");
  const second = run("eve");
  const third = run("eve", gone.signal);
  const other = run("bob");
  await turn();
  assert.deepEqual(asked, ["eve", "bob"]);
  gone.abort();
  assert.equal(await third, 0, "who is gone does not wait for its turn");
  answers[0]?.fire({ ids: ["a"], nextSeq: null });
  assert.equal(await first, 1);
  await turn();
  assert.deepEqual(asked, ["eve", "bob", "eve"]);
  answers[1]?.fire(none);
  answers[2]?.fire(none);
  assert.deepEqual(await Promise.all([second, other]), [0, 0]);
});

test("a options that fails lets the next one in", async () => {
  const finds = [() => Promise.reject(new Error("no disk")), () => Promise.resolve(none)];
  const parts = { perClient: createKeyedMutex(), store: { find: () => finds.shift()?.() ?? Promise.resolve(none) } };
  const calls = [1, 2].map(() => forEachPage(parts, askedBy("eve"), options(), async () => {}));
  await assert.rejects(calls[0] as Promise<number>, /no disk/);
  assert.equal(await calls[1], 0);
});
