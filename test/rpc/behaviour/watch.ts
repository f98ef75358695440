/** `WatchJob` and `ExplainJob`, on every front end. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import { JobState } from "../../../src/gen/millpond/v1/job_pb.ts";
import {
  ExplainJobResponse_Cause as Cause,
  LogLine_Level as Level,
  type WatchJobResponse,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { PoolClient, TestServer, Way } from "../fixtures.ts";
import { openGate } from "../gate.ts";
import { echo, idsOf, json, later, whenFinal } from "../jobs.ts";
import { refused } from "../refused.ts";

export function watchCases(way: Way, server: () => TestServer): void {
  /** A client that no other test uses. */
  const client = () => server().client(way, `client-${randomUUID()}`);

  async function gateFor(t: TestContext) {
    const gate = await openGate();
    t.after(() => gate.close());
    return { ...gate, job: { task: "gate", input: json({ port: gate.port }) } };
  }

  async function submit(own: PoolClient, job: ReturnType<typeof echo>): Promise<string> {
    return idsOf((await own.submit({ jobs: [job] })).receipts)[0] ?? "";
  }

  /** A watch that is read one message at a time. */
  function watch(own: PoolClient, jobId: string, afterEvent = 0n) {
    const hangUp = new AbortController();
    const messages = own.watchJob({ jobId, afterEvent }, { signal: hangUp.signal })[Symbol.asyncIterator]();
    const next = async (): Promise<WatchJobResponse> => {
      const { value, done } = await messages.next();
      if (done) throw new Error("the watch ended");
      return value;
    };
    /** The next message that is one of these. */
    const nextOf = async (...cases: readonly WatchJobResponse["update"]["case"][]) => {
      for (;;) {
        const message = await next();
        if (cases.includes(message.update.case)) return message;
      }
    };
    return { next, nextOf, rest: () => messages.next(), hangUp: () => hangUp.abort() };
  }

  const said = ({ update }: WatchJobResponse) => {
    if (update.case === "log") return [update.value.level, update.value.text, update.value.fields];
    return update.case === "progress" ? [update.value.fraction, update.value.note] : [update.case];
  };

  test("a watch begins with the job as it is, tells every change, what it says, and ends when it is final", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const id = await submit(own, gate.job);
    const held = await gate.next();
    const { next, nextOf, rest } = watch(own, id);
    const first = await next();
    held.say({ level: "warn", text: "half-way" });
    const line = await nextOf("log");
    held.say({ fraction: 0.5, text: "half" });
    const progress = await nextOf("progress");
    held.pass();
    const last = await nextOf("job");

    assert.deepEqual(first.update.case === "job" && first.update.value.state, JobState.RUNNING);
    assert.deepEqual(said(line), [Level.WARN, "half-way", { attempt: 1 }]);
    assert.ok(line.update.case === "log" && line.update.value.at && line.update.value.attempt === 1);
    assert.deepEqual(said(progress), [0.5, "half"]);
    assert.ok(last.update.case === "job" && last.update.value.result?.state === JobState.SUCCEEDED);
    assert.equal((await rest()).done, true);
    const events = [first, line, progress, last].map(({ event }) => event);
    assert.deepEqual(
      events,
      events.toSorted((a, b) => Number(a - b)),
    );
  });

  test("a watch tells of a retry and why, and of a cancel while it runs", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const id = await submit(own, { ...gate.job, input: json({ port: gate.port, stubborn: true }) });
    const states = watched(own, id);
    (await gate.next()).fail();
    const second = await gate.next();
    await own.cancelJobs({ jobIds: [id] });
    await whenFinal(own, id, ({ cancelling }) => cancelling);
    second.fail();
    const found = await states;

    assert.deepEqual(found.at(-1), [JobState.CANCELLED, false]);
    assert.ok(
      found.some(([state, cancelling]) => state === JobState.RUNNING && cancelling),
      JSON.stringify(found),
    );
  });

  /** Every state that a watch tells of. */
  async function watched(own: PoolClient, jobId: string) {
    const states: [JobState, boolean][] = [];
    for await (const { update } of own.watchJob({ jobId })) {
      if (update.case === "job") states.push([update.value.state, update.value.cancelling]);
    }
    return states;
  }

  test("who comes back with the last event it saw gets the lines after it, and no other", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const id = await submit(own, gate.job);
    const held = await gate.next();
    const before = watch(own, id);
    for (const text of ["one", "two"]) held.say({ text });
    await before.nextOf("log");
    const two = await before.nextOf("log");
    before.hangUp();
    for (const text of ["three", "four"]) held.say({ text });
    const after = watch(own, id, two.event);
    const again = [await after.nextOf("log"), await after.nextOf("log")];
    after.hangUp();
    held.pass();
    await whenFinal(own, id);
    const late: unknown[] = [];
    for await (const message of own.watchJob({ jobId: id })) late.push(said(message)[1] ?? said(message)[0]);

    assert.deepEqual(
      again.map((line) => said(line)[1]),
      ["three", "four"],
    );
    assert.deepEqual(late, ["one", "two", "three", "four", "job"]);
  });

  test("a job that is final already is told at once", async () => {
    const own = client();
    const id = await submit(own, echo("quick"));
    await whenFinal(own, id);
    const { next, rest } = watch(own, id.toUpperCase());
    const only = await next();

    assert.ok(only.update.case === "job" && only.update.value.result);
    assert.equal((await rest()).done, true);
  });

  test("a job that is not there, is another client's or is no id is NOT_FOUND, to watch and to explain", async () => {
    const hers = await submit(client(), echo("hers"));
    for (const jobId of [randomUUID(), hers, "nonsense", ""]) {
      const own = client();
      for (const call of [() => watch(own, jobId).next(), () => own.explainJob({ jobId })]) {
        const error = await refused(call());
        assert.deepEqual([error.code, error.reason], ["NotFound", "job_not_found"]);
      }
    }
  });

  test("watches that are hung up give their places free", async () => {
    const own = client();
    const id = await submit(own, echo("later", later));
    for (let count = 0; count < 25; count += 1) {
      const { next, hangUp } = await opened(own, id);
      void next;
      hangUp();
    }
    await own.cancelJobs({ jobIds: [id] });
  });

  /** Opens a watch, again and again while the server has not noticed yet that others were hung up. */
  async function opened(own: PoolClient, id: string) {
    for (;;) {
      const each = watch(own, id);
      const error = await each.next().then(
        () => undefined,
        (thrown: unknown) => refused(Promise.reject(thrown)),
      );
      if (!error) return each;
      assert.equal(error.reason, "too_many_watches");
    }
  }

  test("ExplainJob says why a job is not running, in words and in fields", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const explain = async (jobId: string) => own.explainJob({ jobId });
    const delayed = await submit(own, echo("later", later));
    const [one, two] = [await submit(own, gate.job), await submit(own, gate.job)];
    const held = [await gate.next(), await gate.next()];
    const waits = await submit(own, gate.job);
    const behind = await submit(own, { ...gate.job, priority: -1 });
    const answers = await Promise.all([delayed, one, waits, behind].map(explain));
    gate.open();
    for (const attempt of held) attempt.pass();
    await whenFinal(own, two);
    const final = await explain(two);
    const fails = { task: "fail", input: json({ reason: "no_luck", retryable: true }) };
    const slow = { retry: { base: { seconds: 3_600n }, maxBackoff: { seconds: 3_600n }, jitter: 2 } } as const;
    const retried = await submit(own, { ...fails, ...slow });
    await whenFinal(own, retried, ({ lastFailure }) => lastFailure !== undefined);
    const backoff = await explain(retried);
    await own.cancelJobs({ filter: { all: true } });

    const [later_, running, first, queued] = answers;
    assert.deepEqual([later_?.cause, later_?.state], [Cause.DELAYED, JobState.QUEUED]);
    assert.ok(later_?.runAt && later_.text.length > 0);
    assert.deepEqual([running?.cause, running?.running, running?.workers], [Cause.RUNNING, 2, 2]);
    assert.deepEqual([first?.cause, first?.ahead], [Cause.WORKERS_BUSY, 0]);
    assert.deepEqual([queued?.cause, queued?.ahead], [Cause.QUEUED, 1]);
    assert.equal(final.cause, Cause.FINAL);
    assert.deepEqual([backoff.cause, backoff.lastFailure?.reason], [Cause.BACKOFF, "no_luck"]);
    assert.ok(backoff.runAt);
  });
}
