/** `Run`: a job as a function call, on every front end. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import { DeadReason, type Job, JobState } from "../../../src/gen/millpond/v1/job_pb.ts";
import type { TestServer, Way } from "../fixtures.ts";
import { type Gate, openGate } from "../gate.ts";
import { echo, follow, json, newChannel, outputOf, whenFinal } from "../jobs.ts";
import { refused } from "../refused.ts";
import { until } from "../../support/until.ts";

export function runCases(way: Way, server: () => TestServer): void {
  /** A client that no other test uses. */
  const client = () => server().client(way, `client-${randomUUID()}`);

  async function gateFor(t: TestContext): Promise<Gate> {
    const gate = await openGate();
    t.after(() => gate.close());
    return gate;
  }

  test("answers with the job's result, which goes to no channel", async () => {
    const own = client();
    const { result } = await own.run({ job: echo({ hello: "world" }, { labels: { kind: "greeting" } }) });

    assert.ok(result);
    assert.deepEqual(outputOf(result), { hello: "world" });
    assert.deepEqual([result.state, result.attempts, result.cursor], [JobState.SUCCEEDED, 1, 0n]);
    assert.deepEqual(result.labels, { kind: "greeting" });
    const { job } = await own.getJob({ jobId: result.jobId });
    assert.equal(job?.channel, "");
  });

  test("a job that fails is an answer too, and tells why", async () => {
    const input = json({ reason: "no_luck", message: "not today" });
    const { result } = await client().run({ job: { task: "fail", input } });

    assert.deepEqual(
      [result?.state, result?.deadReason, result?.failure?.reason, result?.failure?.message],
      [JobState.DEAD, DeadReason.PERMANENT, "no_luck", "not today"],
    );
  });

  test("with `detach` the result goes to the job's channel as well", async () => {
    const own = client();
    const channel = newChannel();
    const { result } = await own.run({ job: echo("kept", { channel }), detach: true });
    const [kept] = await follow(own, { channel }, 1);

    assert.deepEqual([result?.jobId, result?.cursor], [kept?.jobId, 1n]);
  });

  test("repeating a call with the same id or key answers with the same job's result", async () => {
    const own = client();
    const job = echo("once", { id: randomUUID() });
    const first = await own.run({ job });
    const again = await own.run({ job });
    const keyed = echo("keyed", { idempotencyKey: "invoice-4711" });
    const byKey = [await own.run({ job: keyed }), await own.run({ job: keyed })];

    assert.deepEqual(again.result, first.result);
    assert.equal(byKey[1]?.result?.jobId, byKey[0]?.result?.jobId);
  });

  test("cancelling the call cancels a job that runs", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const hangUp = new AbortController();
    const call = own.run({ job: { task: "gate", input: json({ port: gate.port }) } }, { signal: hangUp.signal });
    const held = await gate.next();
    hangUp.abort();
    await assert.rejects(call, { rawMessage: /abort|cancel/i });
    await held.ended;

    const { state, result } = await whenFinal(own, held.jobId);
    assert.deepEqual([state, result?.failure?.reason], [JobState.CANCELLED, "cancelled"]);
  });

  test("cancelling the call cancels a job that waits", async () => {
    const own = client();
    const id = randomUUID();
    const hangUp = new AbortController();
    const job = echo("never", { id, start: { case: "delay", value: { seconds: 3_600n } } });
    const call = own.run({ job }, { signal: hangUp.signal });
    call.catch(() => undefined);
    for await (const { update } of own.watchJob({ jobId: await submitted(own, id) })) {
      if (update.case === "job" && update.value.state === JobState.QUEUED) hangUp.abort();
    }
    await assert.rejects(call);

    const { state, attempts } = await whenFinal(own, id);
    assert.deepEqual([state, attempts], [JobState.CANCELLED, 0]);
  });

  test("with `detach` the job goes on when the call is cancelled", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const channel = newChannel();
    const hangUp = new AbortController();
    const job = { task: "gate", input: json({ port: gate.port }), channel };
    const call = own.run({ job, detach: true }, { signal: hangUp.signal });
    const held = await gate.next();
    hangUp.abort();
    await assert.rejects(call);
    held.pass();
    const [result] = await follow(own, { channel }, 1);

    assert.deepEqual([result?.jobId, result?.state, result?.attempts], [held.jobId, JobState.SUCCEEDED, 1]);
  });

  test("the call's deadline is the job's: one that waits is never started", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const blocks = Array.from({ length: 2 }, () => ({ task: "gate", input: json({ port: gate.port }) }));
    await own.submit({ jobs: blocks });
    const running = [await gate.next(), await gate.next()]; // both workers are taken
    const id = randomUUID();
    const job = { id, task: "gate", input: json({ port: gate.port }) };
    await assert.rejects(own.run({ job }, { timeoutMs: 150 }), { rawMessage: /timed out|deadline/i });
    const ended = await whenFinal(own, id); // the server's clock may be some time behind the caller's
    gate.open(); // workers are free from here on, and would start it
    for (const attempt of running) attempt.pass();
    const after = await own.run({ job: { task: "gate", input: json({ port: gate.port }) } });

    assertEndedByDeadline(ended);
    assert.equal(ended.attempts, 0);
    assert.ok(ended.expiresAt);
    assert.equal(after.result?.state, JobState.SUCCEEDED);
    assert.ok(
      gate.begun.every((line) => !line.startsWith(id)),
      "it was started",
    );
  });

  test("the call's deadline is the job's: one that runs is asked to stop", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const job = { task: "gate", input: json({ port: gate.port }) };
    // long enough for a busy machine to start the job before it is over
    const refused = assert.rejects(own.run({ job }, { timeoutMs: 1_500 }), { rawMessage: /timed out|deadline/i });
    const held = await gate.next();
    await refused;
    await held.ended;

    assertEndedByDeadline(await whenFinal(own, held.jobId));
  });

  test("a job's own `expires_at` holds when it is earlier than the call's deadline", async () => {
    const at = Date.now() + 60_000;
    const id = randomUUID();
    const own = client();
    const expiresAt = { seconds: BigInt(Math.floor(at / 1000)) };
    await own.run({ job: echo(1, { id, expiresAt }) }, { timeoutMs: 3_600_000 });
    const { job } = await own.getJob({ jobId: id });

    assert.equal(job?.expiresAt?.seconds, expiresAt.seconds);
  });

  test("what is wrong with the job is refused with its path in the request", async () => {
    for (const [request, fields] of [
      [{}, ["job"]],
      [{ job: echo(1, { channel: "mine" }) }, ["job.channel"]],
      [{ job: echo(1, { channel: "mine", discardResult: true }) }, ["job.channel", "job.discard_result"]],
      [{ job: echo(1, { id: "4711" }) }, ["job.id"]],
      [{ job: { task: "sleep", input: json({ durationMs: "soon" }) } }, ["job.input.durationMs"]],
      [{ job: echo(1, { channel: "no spaces" }), detach: true }, ["job.channel"]],
    ] as const) {
      const error = await refused(client().run(request));
      assert.deepEqual([error.reason, error.fields], ["invalid_argument", fields]);
    }
    assert.equal((await refused(client().run({ job: { task: "no.such.task" } }))).reason, "unknown_task");
  });

  test("a client may have only so many open, and one that ends gives its place free", async () => {
    const own = client();
    const hangUp = new AbortController();
    const job = () => ({ task: "echo", start: { case: "delay", value: { seconds: 3_600n } } }) as const;
    const calls = Array.from({ length: 20 }, () => own.run({ job: job() }, { signal: hangUp.signal }));
    for (const call of calls) call.catch(() => undefined);
    let { jobs } = await own.listJobs({});
    while (jobs.length < 20) ({ jobs } = await own.listJobs({}));
    const error = await refused(own.run({ job: job() }));
    hangUp.abort();
    await Promise.allSettled(calls);

    assert.deepEqual([error.code, error.reason], ["ResourceExhausted", "too_many_watches"]);
    assert.ok(error.retryAfterMs && error.retryAfterMs > 0);
    for (const { id } of jobs) assert.equal((await whenFinal(own, id)).state, JobState.CANCELLED);
    assert.equal((await own.run({ job: echo("again") })).result?.state, JobState.SUCCEEDED);
  });

  /** Resolves with the id once the job is there. */
  async function submitted(own: ReturnType<typeof client>, id: string): Promise<string> {
    await until(async () => (await own.listJobs({})).jobs.some((job) => job.id === id));
    return id;
  }
}

/** These clients hang up at their deadline, and whether that or the server's own deadline is first is a matter of luck. */
function assertEndedByDeadline({ state, deadReason }: Job): void {
  const isExpired = state === JobState.DEAD && deadReason === DeadReason.EXPIRED;
  assert.ok(isExpired || state === JobState.CANCELLED, `its state is ${state}`);
}
