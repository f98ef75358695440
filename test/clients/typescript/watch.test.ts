import assert from "node:assert/strict";
import { test } from "node:test";
import type { JobUpdate } from "../../../clients/typescript/index.ts";
import { JobState } from "../../../src/gen/millpond/v1/job_pb.ts";
import type { FakeServer } from "./fake-server.ts";
import { start, until } from "./fixtures.ts";

const running = { case: "job", value: { id: "x", state: JobState.RUNNING } } as const;
const done = {
  case: "job",
  value: { id: "x", state: JobState.SUCCEEDED, result: { jobId: "x", state: JobState.SUCCEEDED } },
} as const;
const progress = (fraction: number) => ({ case: "progress", value: { fraction, note: "half" } }) as const;
const log = (text: string) => ({ case: "log", value: { text, level: 3, attempt: 2, fields: { width: 9 } } }) as const;

async function watchAt(server: FakeServer, at: number) {
  await until(() => server.watches.length > at);
  return server.watches[at] as (typeof server.watches)[number];
}

const shortly = (update: JobUpdate) => {
  if (update.kind === "job") return `${update.event} ${update.job.state}`;
  if (update.kind === "progress") return `${update.event} ${update.progress.fraction} ${update.progress.note}`;
  if (update.kind === "dropped") return `${update.event} dropped ${update.count}`;
  const { level, text, attempt, fields } = update.line;
  return `${update.event} ${level} ${text} ${attempt} ${JSON.stringify(fields)}`;
};

test("updates come in their order, and the loop ends with the job that is final", async (t) => {
  const { client, server } = await start(t);
  const all = Array.fromAsync(client.watch("x"), shortly);
  const watch = await watchAt(server, 0);
  const cancelled = server.cancelled();
  watch.send(
    { event: 1n, update: running },
    { event: 2n, update: progress(0.5) },
    { event: 3n, update: log("wide") },
    { event: 4n, update: { case: "dropped", value: 12n } },
    { event: 5n, update: done },
  );
  assert.deepEqual(await all, ["1 RUNNING", "2 0.5 half", '3 warn wide 2 {"width":9}', "4 dropped 12", "5 SUCCEEDED"]);
  await cancelled;
});

test("after a lost connection, and an end before the job's, it goes on behind the last update", async (t) => {
  const { client, server } = await start(t);
  const all = Array.fromAsync(client.watch("x", { afterEvent: 4 }), shortly);
  const first = await watchAt(server, 0);
  assert.equal(first.request.afterEvent, 4n);
  first.send({ event: 5n, update: running }, { event: 9n, update: log("a") });
  first.end(14);
  const second = await watchAt(server, 1);
  assert.equal(second.request.afterEvent, 9n);
  second.send({ event: 8n, update: running }); // the job as it is now stands first, whatever was seen
  second.end(0);
  const third = await watchAt(server, 2);
  assert.equal(third.request.afterEvent, 9n);
  third.send({ event: 10n, update: done });
  const seen = await all;
  assert.deepEqual(seen.slice(-1), ["10 SUCCEEDED"]);
});

test("a signal ends the loop quietly", async (t) => {
  const { client, server } = await start(t);
  const stop = new AbortController();
  const all = Array.fromAsync(client.watch("x", { signal: stop.signal }), shortly);
  const watch = await watchAt(server, 0);
  watch.send({ event: 1n, update: running });
  const cancelled = server.cancelled();
  stop.abort();
  assert.ok((await all).length <= 1);
  await cancelled;
});
