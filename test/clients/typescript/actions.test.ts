/** Cancel, dead letters, redrive, delete, explain, drain: what is sent, what comes of it, and what is repeated. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { MillpondClientError } from "../../../clients/typescript/index.ts";
import { type DescMessage, type Message, toJson } from "@bufbuild/protobuf";
import { DrainRequestSchema } from "../../../src/gen/millpond/v1/admin_pb.ts";
import {
  CancelJobsRequestSchema,
  DeleteJobsRequestSchema,
  ListDeadLettersRequestSchema,
  RedriveJobsRequestSchema,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { bareStatus, numbers, start, status } from "./fixtures.ts";

/** Answers a method with `answer`, and keeps what it was asked, by protobuf's JSON mapping. */
function recorded(schema: DescMessage, answer: (request: never, times: number) => object) {
  const requests: { [field: string]: unknown }[] = [];
  const run = (request: Message) => {
    requests.push(toJson(schema, request) as { [field: string]: unknown });
    return answer(request as never, requests.length);
  };
  return { requests, run: run as never };
}

const ids = (count: number) => [...numbers(count)].map(String);

suite("cancel", () => {
  test("by a filter sends its fields and gives the counts", async (t) => {
    const { requests, run } = recorded(CancelJobsRequestSchema, () => ({ matched: 9n, cancelled: 7n, cancelling: 2n }));
    const { client } = await start(t, { onUnary: { cancelJobs: run } });
    const submittedAfter = new Date("2026-01-01T00:00:00Z");
    const filter = { task: "echo", labels: { customer: "17" }, submittedAfter, deadReason: "poison" } as const;
    assert.deepEqual(await client.cancel(filter, { dryRun: true }), {
      ...{ answers: [], matched: 9, cancelled: 7, cancelling: 2 },
    });
    assert.deepEqual(requests, [
      {
        filter: {
          task: "echo",
          labels: { customer: "17" },
          submittedAfter: "2026-01-01T00:00:00Z",
          deadReason: "DEAD_REASON_POISON",
        },
        dryRun: true,
      },
    ]);
  });

  test("by more ids than a call may carry goes in even calls, and the answers keep their order", async (t) => {
    const { requests, run } = recorded(CancelJobsRequestSchema, ({ jobIds }: { jobIds: string[] }) => {
      return { answers: jobIds.map((jobId) => ({ jobId, kind: 1 + (Number(jobId) % 4), state: 5 })), cancelled: 1n };
    });
    const { client } = await start(t, { onUnary: { cancelJobs: run } });
    const { answers, cancelled } = await client.cancel(ids(2_001));
    assert.deepEqual(
      requests.map(({ jobIds }) => (jobIds as string[]).length),
      [667, 667, 667],
    );
    assert.deepEqual(
      answers.map(({ jobId }) => jobId),
      ids(2_001),
    );
    assert.deepEqual(
      answers.slice(0, 4).map(({ kind }) => kind),
      ["cancelled", "cancelling", "already_final", "not_found"],
    );
    assert.equal(cancelled, 3);
  });

  test("is repeated after a lost connection: cancelling twice is cancelling once", async (t) => {
    const { requests, run } = recorded(CancelJobsRequestSchema, (_request, times) => {
      if (times === 1) throw bareStatus(14, "connection dropped");
      return { answers: [{ jobId: "x", kind: 1, state: 5 }] };
    });
    const { client } = await start(t, { onUnary: { cancelJobs: run } });
    assert.equal((await client.cancel(["x"])).answers[0]?.state, "CANCELLED");
    assert.equal(requests.length, 2);
  });

  test("a reason that is none, and what is no date, are refused with their field", async (t) => {
    const { client } = await start(t);
    await assert.rejects(client.cancel({ deadReason: "bored" as never }), {
      message: 'filter.dead_reason: is "bored" and must be one of exhausted, permanent, expired, poison',
    });
    await assert.rejects(client.cancel({ submittedBefore: "now" as never }), { reason: "invalid_argument" });
  });
});

suite("dead letters", () => {
  test("are listed page by page, and tell why they died", async (t) => {
    const { requests, run } = recorded(ListDeadLettersRequestSchema, ({ pageToken }: { pageToken: string }) => {
      const page = Number(pageToken || "1");
      const failure = { reason: "nope", message: "no" };
      const jobs = [{ id: `${page}`, state: 4, deadReason: 2, result: { state: 4, deadReason: 2, failure } }];
      return { jobs, nextPageToken: page < 3 ? String(page + 1) : "" };
    });
    const { client } = await start(t, { onUnary: { listDeadLetters: run } });
    const seen: string[] = [];
    for await (const { id, deadReason, result } of client.deadLetters({ filter: { all: true }, pageSize: 7 })) {
      seen.push(`${id} ${deadReason} ${result?.failure?.reason}`);
    }
    assert.deepEqual(seen, ["1 permanent nope", "2 permanent nope", "3 permanent nope"]);
    const rest = { filter: { all: true }, pageSize: 7 };
    assert.deepEqual(requests, [rest, { ...rest, pageToken: "2" }, { ...rest, pageToken: "3" }]);
  });

  test("a job tells its history, and its input when it is asked for", async (t) => {
    const history = [
      {
        number: 1,
        outcome: 3,
        failure: { reason: "timed_out" },
        startedAt: { seconds: 1n },
        finishedAt: { seconds: 2n },
      },
      { number: 2, outcome: 5, failure: { reason: "lost" } },
    ];
    const onUnary = {
      getJob: ({ withInput }: { withInput: boolean }) => {
        const input = { content: { case: "data", value: Uint8Array.of(1, 2) } };
        return { job: { id: "x", state: 4, timeout: { seconds: 5n }, history, ...(withInput && { input }) } };
      },
    } as never;
    const { client } = await start(t, { onUnary });
    const without = await client.getJob("x");
    assert.equal(without.input, undefined);
    assert.equal(without.timeoutMs, 5_000);
    assert.deepEqual(
      without.history.map(({ number, outcome, failure, startedAt }) => [number, outcome, failure?.reason, startedAt]),
      [
        [1, "timed_out", "timed_out", new Date(1_000)],
        [2, "lost", "lost", undefined],
      ],
    );
    assert.deepEqual(
      new Uint8Array((await client.getJob("x", { withInput: true })).input as Uint8Array),
      Uint8Array.of(1, 2),
    );
  });
});

suite("redrive and delete", () => {
  const answer = ({ jobIds }: { jobIds: string[] }) => ({
    answers: jobIds.map((jobId, at) => ({ jobId, kind: at + 1, state: 1 })),
    matched: 5n,
    redriven: 1n,
    deleted: 1n,
  });

  test("send ids or a filter, and tell what became of each job", async (t) => {
    const redrives = recorded(RedriveJobsRequestSchema, answer);
    const deletes = recorded(DeleteJobsRequestSchema, answer);
    const { client } = await start(t, { onUnary: { redriveJobs: redrives.run, deleteJobs: deletes.run } });

    const redriven = await client.redrive(["a", "b", "c"]);
    assert.deepEqual(
      redriven.answers.map(({ kind }) => kind),
      ["redriven", "not_dead", "not_found"],
    );
    assert.equal(redriven.redriven, 1);
    await client.redrive({ failureReason: "nope" }, { dryRun: true, perSecond: 2.5 });
    assert.deepEqual(redrives.requests, [
      { jobIds: ["a", "b", "c"] },
      { filter: { failureReason: "nope" }, dryRun: true, perSecond: 2.5 },
    ]);

    const deleted = await client.deleteJobs(["a", "b", "c", "d"]);
    assert.deepEqual(
      deleted.answers.map(({ kind, state }) => [kind, state]),
      ["deleted", "not_final", "not_acknowledged", "not_found"].map((kind) => [kind, "QUEUED"]),
    );
    await client.deleteJobs({ all: true });
    assert.deepEqual(deletes.requests, [{ jobIds: ["a", "b", "c", "d"] }, { filter: { all: true } }]);
  });

  for (const method of ["redriveJobs", "deleteJobs"] as const) {
    test(`${method} is not repeated when nobody knows whether it was done`, async (t) => {
      let calls = 0;
      const storeFailed = status({ code: 14, reason: "store_failed", message: "the store failed", retryAfterMs: 10 });
      const ends: readonly (() => object)[] = [
        () => {
          throw bareStatus(14, "connection dropped");
        },
        () => {
          throw storeFailed;
        },
        () => {
          throw status({ code: 14, reason: "store_unavailable", message: "the store is away", retryAfterMs: 10 });
        },
        () => {
          throw status({ code: 14, reason: "draining", message: "the server is shutting down", retryAfterMs: 10 });
        },
        () => ({}),
        () => {
          throw bareStatus(14, "connection dropped");
        },
        () => ({}),
      ];
      const { client } = await start(t, { onUnary: { [method]: () => (ends[calls++] as () => object)() } });
      const act = (dryRun: boolean) =>
        method === "redriveJobs"
          ? client.redrive({ all: true }, { dryRun })
          : client.deleteJobs({ all: true }, { dryRun });
      await assert.rejects(act(false), { reason: "unreachable" });
      await assert.rejects(act(false), { reason: "store_failed" });
      await assert.rejects(act(false), { reason: "store_unavailable" });
      assert.equal(calls, 3);
      await act(false); // refused before it began, so it is tried again
      assert.equal(calls, 5);
      await act(true); // only counts
      assert.equal(calls, 7);
    });
  }
});

test("explain tells the cause in a word, a sentence and fields", async (t) => {
  const onUnary = {
    explainJob: () => ({
      cause: 5,
      text: "it waits",
      state: 1,
      runAt: { seconds: 9n },
      ahead: 3,
      running: 2,
      workers: 4,
    }),
  };
  const { client, server } = await start(t, { onUnary });
  assert.deepEqual(await client.explain("x"), {
    ...{ cause: "backoff", text: "it waits", state: "QUEUED", runAt: new Date(9_000) },
    ...{ ahead: 3, running: 2, workers: 4, lastFailure: undefined },
  });
  server.behaviour.onUnary["explainJob"] = () => ({ cause: 99, text: "from a newer server" });
  assert.equal((await client.explain("x")).cause, "unknown");
});

test("drain waits as long as it is told to, and a little for the answer", async (t) => {
  const deadlines: number[] = [];
  const { requests, run } = recorded(DrainRequestSchema, () => ({ running: 2, queued: 70n }));
  const { client } = await start(t, {
    onUnary: {
      drain: (request: never, call: { getDeadline(): number | Date }) => {
        deadlines.push(Number(call.getDeadline()) - Date.now());
        return (run as (given: never) => object)(request);
      },
    },
  });
  assert.deepEqual(await client.drain(), { running: 2, queued: 70 });
  await client.drain({ waitMs: 3_600_000 });
  assert.deepEqual(requests, [{}, { wait: "3600s" }]);
  assert.ok(
    deadlines.every((leftMs, at) => leftMs > [0, 3_600_000][at]!),
    deadlines.join(),
  );
});

test("profile is asked for once, whatever comes of it: a second profile would be of another time", async (t) => {
  let calls = 0;
  const ends = [
    status({ code: 8, reason: "profile_running", message: "one is being taken", retryAfterMs: 10 }),
    bareStatus(14, "connection dropped"),
  ];
  const { client, slept } = await start(t, {
    onUnary: {
      profile: () => {
        throw ends[calls++];
      },
    },
  });
  await assert.rejects(client.profile(), { reason: "profile_running", retryAfterMs: 10 });
  await assert.rejects(client.profile(), { reason: "unreachable" });
  assert.deepEqual([calls, slept], [2, []]);
});

test("a word that stands for nothing is refused with those that do, before anything is sent", async (t) => {
  const { client, server } = await start(t);
  const rows = [
    ["level", /"bogus" and must be one of debug, .*, configured$/, () => client.setLogLevel("bogus" as never)],
    ["kind", /must be one of cpu, allocations, heap$/, () => client.profile({ kind: "toString" as never })],
    ["state", /must be one of QUEUED, /, () => client.listJobs({ state: "queued" as never }).next()],
    ["retry.jitter", /must be one of /, () => client.submit("echo", 1, { retry: { jitter: "some" as never } })],
  ] as const;
  for (const [field, message, act] of rows) {
    await assert.rejects(act, (error: MillpondClientError) => {
      assert.deepEqual([error.reason, error.violations[0]?.field], ["invalid_argument", field]);
      return message.test(error.message);
    });
  }
  assert.equal(server.metadata.length, 0);
});
