/** No request, however expensive, keeps the main thread from everybody else for long: each RPC under its worst legal one. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, type DescMethod, type Message, toBinary } from "@bufbuild/protobuf";
import { connect, type Job, job } from "../../clients/typescript/index.ts";
import {
  ExchangeCancelSchema,
  ExchangeOpenSchema,
  type ExchangeRequest,
  ExchangeRequestSchema,
  ExchangeSubmitSchema,
  WorkerPoolService,
} from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { newId } from "../../src/job/id.ts";
import type { JsonValue } from "../../src/job/job.ts";
import { data, echo, type JobInit, json } from "./jobs.ts";
import { inBothForms, type Probe, type Raw, startProbe } from "./turns/probe.ts";

/** What is promised, in CPU time of the main thread. */
const mostMs = 50;
/** Of several tries the best counts: what compilers, collectors and other processes add to one of them is not the request's. */
const tries = 10;
/** As many as one message may have besides the fields that lead to them. */
const manyValues = 19_950;

/** With names that are to be decoded, compared and sorted. */
const members = (count: number): JsonValue =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`${(index * 7_919) % count} ü`, index % 2 ? "ü" : 1.5]),
  );
/** A name counts too. */
const manyMembers = manyValues / 2 - 20;
const lists = (count: number): JsonValue => Array.from({ length: count }, () => []);
const numbers = (count: number): JsonValue => Array<number>(count).fill(7);
const labels: { readonly [name: string]: string } = Object.fromEntries(
  Array.from({ length: 16 }, (_, index) => [`label-${index}`, "v".repeat(100)]),
);
const jobs = (count: number, more: JobInit): JobInit[] =>
  Array.from({ length: count }, () => ({ task: "echo", ...more }));
const someIds = Array.from({ length: 1_000 }, () => newId(1));

let probe: Probe;
/** Its output is as large as outputs may be. */
let largeId: string;
/** It was tried a hundred times, with details as large as they may be. */
let triedId: string;
let deadIds: readonly string[];

before(async () => {
  probe = await startProbe();
  const client = connect({ address: probe.grpcAddress });
  for (const value of [numbers(manyValues), numbers(manyValues), members(manyMembers)]) {
    largeId = (await client.run("echo", value, { channel: "large", detach: true })).jobId;
  }
  const failing = (count: number) => ({
    reason: "r",
    message: "m",
    retryable: true,
    details: { list: numbers(count) },
  });
  const retry = { maxAttempts: 100, baseMs: 0, maxBackoffMs: 0 };
  triedId = (await client.run("fail", failing(3_000), { channel: "large", detach: true, retry })).jobId;
  const dead: Job[] = Array.from({ length: 300 }, () =>
    job("fail", failing(500), { channel: "dead", labels, retry: { maxAttempts: 1 } }),
  );
  const receipts = await client.submitAll(dead);
  deadIds = receipts.map(({ jobId }) => jobId as string);
  let ended = 0;
  for await (const _ of client.results({ channel: "dead" })) if ((ended += 1) === deadIds.length) break;
  await client.close();
});
after(() => probe.stop());

const { method } = WorkerPoolService;
const exchanged = (...requests: ExchangeRequest["request"][]): Uint8Array[] =>
  requests.map((request) => toBinary(ExchangeRequestSchema, create(ExchangeRequestSchema, { request })));

const open = (channel = "other") => ({ case: "open", value: create(ExchangeOpenSchema, { channel }) }) as const;
const submitted = (of: JobInit[]) =>
  ({ case: "submit", value: create(ExchangeSubmitSchema, { seq: 1, jobs: of }) }) as const;
const take = (some: { readonly [name: string]: string }, count: number) =>
  Object.fromEntries(Object.entries(some).slice(0, count));

type Case = readonly [what: string, request: () => Message | readonly Uint8Array[]];
const of =
  ({ input }: DescMethod, init: () => Record<string, unknown>): Case[1] =>
  () =>
    create(input, init()) as Message;

/** The most expensive requests of each RPC that it takes, or refuses only when it has read them. */
const worst: { readonly [rpc in keyof typeof method]: readonly Case[] } = {
  submit: [
    ["an object of many members", of(method.submit, () => ({ jobs: [echo(members(manyMembers))] }))],
    ["many lists", of(method.submit, () => ({ jobs: [echo(lists(manyValues))] }))],
    [
      "many jobs with labels",
      of(method.submit, () => ({ jobs: jobs(1_000, { input: json(1), labels: take(labels, 5) }) })),
    ],
    [
      "many jobs that are refused",
      of(method.submit, () => ({ jobs: jobs(1_000, { task: "sleep", input: json({ no: "é" }) }) })),
    ],
    ["more jobs than it takes", of(method.submit, () => ({ jobs: jobs(6_000, {}) }))],
    ["long strings", of(method.submit, () => ({ jobs: jobs(3, { input: json("ü".repeat(500_000)) }) }))],
    ["strings to be escaped", of(method.submit, () => ({ jobs: jobs(3, { input: json("\u0001".repeat(170_000)) }) }))],
    ["bytes", of(method.submit, () => ({ jobs: jobs(2, { input: data(new Uint8Array(1_000_000)) }) }))],
  ],
  run: [
    ["an object of many members", of(method.run, () => ({ job: echo(members(manyMembers)) }))],
    ["an output of many bytes", of(method.run, () => ({ job: { task: "blob", input: json({ bytes: 3_000_000 }) } }))],
  ],
  exchange: [
    ["an object of many members", () => exchanged(open(), submitted([echo(members(manyMembers))]))],
    ["many jobs", () => exchanged(open(), submitted(jobs(1_000, { input: json({ n: 1 }), labels: take(labels, 5) })))],
    ["many ids", () => exchanged(open(), { case: "cancel", value: create(ExchangeCancelSchema, { jobIds: someIds }) })],
    ["large results", () => exchanged(open("large"))],
    ["results with details", () => exchanged(open("dead"))],
  ],
  results: [
    ["large results", of(method.results, () => ({ channel: "large", stopAtEnd: true }))],
    ["results with details", of(method.results, () => ({ channel: "dead", stopAtEnd: true }))],
  ],
  ackResults: [["the whole channel", of(method.ackResults, () => ({ channel: "large", cursor: 1n }))]],
  getJob: [
    ["a large output", of(method.getJob, () => ({ jobId: largeId }))],
    ["a large input", of(method.getJob, () => ({ jobId: largeId, withInput: true }))],
    ["a long history", of(method.getJob, () => ({ jobId: triedId }))],
  ],
  listJobs: [["a large page", of(method.listJobs, () => ({ pageSize: 1_000 }))]],
  listDeadLetters: [["a large page", of(method.listDeadLetters, () => ({ pageSize: 1_000, filter: { labels } }))]],
  watchJob: [["a large output", of(method.watchJob, () => ({ jobId: largeId }))]],
  explainJob: [["a job with details", of(method.explainJob, () => ({ jobId: triedId }))]],
  cancelJobs: [
    ["many ids", of(method.cancelJobs, () => ({ jobIds: someIds }))],
    ["more ids than it takes", of(method.cancelJobs, () => ({ jobIds: Array<string>(manyValues).fill("x") }))],
    ["a filter", of(method.cancelJobs, () => ({ filter: { all: true, labels } }))],
  ],
  redriveJobs: [
    ["many ids", of(method.redriveJobs, () => ({ jobIds: [...deadIds.slice(150), ...someIds.slice(150)] }))],
    ["a filter", of(method.redriveJobs, () => ({ dryRun: true, filter: { all: true, labels } }))],
  ],
  deleteJobs: [
    ["many ids", of(method.deleteJobs, () => ({ jobIds: [...deadIds.slice(0, 150), ...someIds.slice(150)] }))],
    ["a filter", of(method.deleteJobs, () => ({ dryRun: true, filter: { all: true, labels } }))],
  ],
  stats: [["nothing", of(method.stats, () => ({}))]],
  watchStats: [["nothing", of(method.watchStats, () => ({ intervalMs: 100 }))]],
  listTasks: [["nothing", of(method.listTasks, () => ({}))]],
};

/** What any RPC can be sent: refused, and that has to be cheap too. */
const hostile: readonly (readonly [what: string, request: Raw])[] = [
  ["two million fields", new Uint8Array(4_000_000).map((_, index) => (index % 2 ? 0 : 0x0a))],
  [
    "JSON of unknown fields",
    `{${Array.from({ length: manyMembers }, (_, index) => `"${index.toString(36)}":0`).join()}}`,
  ],
];

/** The same for one RPC, for it is the same code for all. */
const moreHostile: typeof hostile = [
  [
    "a million fields that nobody knows",
    new Uint8Array(3_999_999).map((_, index) => [0xa0, 0x06, 0x01][index % 3] ?? 0),
  ],
  ["groups without end", new Uint8Array(4_000_000).map((_, index) => (index % 2 ? 0x06 : 0xa3))],
  ["two million numbers in JSON", `{"x":[${"1,".repeat(1_999_000)}1]}`],
  ["JSON that is nested without end", "[".repeat(4_000_000)],
  ["JSON of a large member", `{"x":"${"\\u0001".repeat(660_000)}"}`],
  ["JSON of large numbers", `{"x":[${Array<string>(10_000).fill("1".repeat(300)).join()}]}`],
];

for (const rpc of Object.values(method)) {
  describe(`the main thread is busy for at most ${mostMs} ms with ${rpc.name} of`, () => {
    for (const [what, request] of worst[rpc.localName as keyof typeof method]) {
      test(what, async () => {
        const made = request();
        if (Array.isArray(made)) return assertBrief(rpc, made as readonly Uint8Array[]);
        for (const form of inBothForms(rpc, made as Message)) await assertBrief(rpc, [form]);
        return undefined;
      });
    }
    for (const [what, request] of rpc === method.submit ? [...hostile, ...moreHostile] : hostile) {
      if (rpc.methodKind === "bidi_streaming" && typeof request === "string") continue; // not over HTTP/1.1
      test(what, () => assertBrief(rpc, [request]));
    }
  });
}

async function assertBrief(rpc: DescMethod, requests: readonly Raw[]): Promise<void> {
  const seen: number[] = [];
  do seen.push(await probe.busyMs(rpc, requests));
  while (Math.min(...seen) > mostMs && seen.length < tries);
  const form = typeof requests[0] === "string" ? "in JSON" : "in the wire format";
  assert.ok(Math.min(...seen) <= mostMs, `${form}: ${seen.map(Math.round).join(", ")} ms`);
}
