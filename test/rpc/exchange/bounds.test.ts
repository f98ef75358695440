/** An Exchange over parts of the test's own: what it holds has bounds, and none of them can make it stand still. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { Admitted } from "../../../src/engine/admit/admission.ts";
import { createReadBudget } from "../../../src/engine/deliver/read-budget.ts";
import { createResultReaders } from "../../../src/engine/deliver/result-readers.ts";
import { ExchangeRequestSchema } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { StoredResult } from "../../../src/job/job.ts";
import { exchange, type ExchangeParts } from "../../../src/rpc/exchange.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { untraced } from "../../support/samples.ts";

type RequestInit = NonNullable<Parameters<typeof create<typeof ExchangeRequestSchema>>[1]>;

function open(pendingJobs: number) {
  const clock = createFakeClock();
  const results: StoredResult[] = [];
  const acks: number[] = [];
  let submits = 0;
  let holdAcks: Promise<void> = Promise.resolve();
  const store = {
    get: async () => null,
    async ack(requests: readonly { readonly cursor: number }[]) {
      acks.push(...requests.map(({ cursor }) => cursor));
      await holdAcks;
      return requests.map(({ cursor }) => ({ kind: "acknowledged" as const, cursor }));
    },
    async results({ afterCursor, limit }: { readonly afterCursor: number; readonly limit: number }) {
      return { results: results.slice(afterCursor, afterCursor + limit), lastCursor: results.length, ackedCursor: 0 };
    },
  };
  const budget = createReadBudget(32e6);
  const readers = createResultReaders(store, {
    maxPerClient: 1,
    maxBatchBytes: 1e6,
    budget,
    polling: { clock, everyMs: 1_000, random: () => 0 },
  });
  const admission: ExchangeParts["admission"] = {
    admit: async () => [],
    async admitSlowly(_client, drafts, { onAdmitted }) {
      submits += 1;
      const admitted = drafts.map(({ id, channel }): Admitted => ({ kind: "accepted", id, channel }));
      onAdmitted?.(admitted);
      return admitted;
    },
    close() {},
  };
  const never = new AbortController().signal;
  const parts: ExchangeParts = {
    ...{ admission, readers, store, tracing: untraced, clock, draining: never, closing: never },
    canceller: { cancel: async () => [], cancelWhere: async () => ({ matched: 0, cancelled: 0, cancelling: 0 }) },
    limits: { jobsPerSubmit: 10, messageBytes: 1e6, values: 1e6, slowReaderMs: 1e6, pendingJobs },
  };
  const finish = (id: string) => {
    results.push({
      ...{ cursor: results.length + 1, id, task: "t", state: "SUCCEEDED", output: null, failure: null, labels: {} },
      ...{ deadReason: null, attempts: 1, redrives: 0, submittedAt: 1, startedAt: 2, finishedAt: 3 },
    });
    readers.hint("ada", "default");
  };
  function start(requests: readonly RequestInit["request"][]) {
    async function* incoming() {
      for (const request of requests) yield create(ExchangeRequestSchema, { request: request as never });
      await new Promise(() => undefined);
    }
    const call = { client: "ada", signal: never, deadlineAt: null, trace: {}, rpcSystem: "grpc" as const };
    const responses = exchange(parts, incoming(), call);
    const seen: string[] = [];
    void (async () => {
      for await (const { response } of responses) {
        seen.push(response.case === "results" ? `results ${response.value.cursor}` : String(response.case));
      }
    })();
    return seen;
  }
  const hold = (until: Promise<void>) => {
    holdAcks = until;
  };
  return { start, finish, acks, hold, clock, budget, submits: () => submits };
}

const settled = async () => {
  for (let turns = 0; turns < 20; turns += 1) await turn();
};

test("at the bound on awaited jobs no submit is read, and results go out although nobody can acknowledge", async () => {
  const { start, finish, submits } = open(4);
  const ids = Array.from({ length: 8 }, () => randomUUID());
  const submit = (seq: number) => {
    const jobs = ids.slice(seq * 2, seq * 2 + 2).map((id) => ({ id, task: "t" }));
    return { case: "submit" as const, value: { seq, jobs } };
  };
  const seen = start([{ case: "open", value: { maxUnacked: 1 } }, ...[0, 1, 2, 3].map(submit)]);
  await settled();
  assert.equal(submits(), 2);
  finish(ids[0] ?? "");
  await settled();
  assert.equal(submits(), 3);
  for (const id of ids.slice(1, 4)) finish(id);
  await settled();
  assert.equal(submits(), 4);
  assert.equal(seen.filter((each) => each === "accepted").length, 4);
  assert.ok(seen.includes("results 1"), seen.join());
});

test("acknowledgements that come while one is under way become a single one", async () => {
  const { start, finish, acks, hold, clock } = open(100);
  const { promise, resolve } = Promise.withResolvers<void>();
  hold(promise);
  for (let count = 0; count < 5; count += 1) finish(randomUUID());
  start([
    { case: "open", value: {} },
    ...[1n, 2n, 3n, 5n, 4n].map((cursor) => ({ case: "ack" as const, value: { cursor } })),
  ]);
  await settled();
  assert.deepEqual(acks, [1]);
  resolve();
  await settled();
  clock.advance(10);
  await settled();
  assert.deepEqual(acks, [1, 5]);
});

test("a stream that has sent all it may before the client acknowledges takes no room from others meanwhile", async () => {
  const { start, finish, budget } = open(100);
  const seen = start([{ case: "open", value: { maxUnacked: 1 } }]);
  for (const id of [randomUUID(), randomUUID()]) finish(id);
  await settled();
  assert.deepEqual(seen, ["opened", "results 1"]);
  assert.equal(budget.reservedBytes(), 0);
});
