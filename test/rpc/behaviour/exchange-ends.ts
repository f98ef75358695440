/** How an Exchange stream ends, and how a later one goes on from there. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import { JobState, type Result } from "../../../src/gen/millpond/v1/job_pb.ts";
import type { ExchangeResponse } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { TestServer, Way } from "../fixtures.ts";
import { openGate } from "../gate.ts";
import { echo, exchange, fates, follow, json, newChannel, outputOf, present } from "../jobs.ts";
import { refused } from "../refused.ts";

export function exchangeEndCases(way: Way, server: () => TestServer): void {
  /** A client that no other test uses. */
  const client = () => server().client(way, `client-${randomUUID()}`);

  /** A gate that is closed when the test is over, whatever its end. */
  async function gateFor(t: TestContext) {
    const gate = await openGate();
    t.after(() => gate.close());
    return { ...gate, job: { task: "gate", input: json({ port: gate.port }) } };
  }

  test("a half-close with nothing submitted ends the stream at once", async () => {
    const own = client();
    const stream = exchange(own, { channel: newChannel() });
    stream.end();

    assert.deepEqual(
      (await stream.rest()).map((each) => each.case),
      ["opened"],
    );
  });

  test("a half-close before anything was sent is a violation of the protocol", async () => {
    const silent = exchange(client());
    silent.end();

    assert.equal((await refused(silent.rest())).reason, "protocol_violation");
  });

  test("a submit of no jobs is refused and ends the stream", async () => {
    const stream = exchange(client(), { channel: newChannel() });
    stream.submit(1, []);
    const error = await refused(stream.rest());

    assert.deepEqual([error.reason, error.fields], ["invalid_argument", ["jobs"]]);
  });

  test("a half-close while jobs run waits for their results, and then ends with OK", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const stream = exchange(own, { channel: newChannel() });
    stream.submit(1, [gate.job, gate.job]);
    const held = [await gate.next(), await gate.next()];
    stream.end();
    await own.stats({}); // on the same connection, so the half-close has come before its answer
    for (const attempt of held) attempt.pass();
    const answers = await stream.rest();

    const results = resultsOf(answers);
    assert.deepEqual(
      results.map(({ state }) => state),
      [JobState.SUCCEEDED, JobState.SUCCEEDED],
    );
    assert.deepEqual(results.map(({ jobId }) => jobId).toSorted(), held.map(({ jobId }) => jobId).toSorted());
    assert.deepEqual(answers.filter((each) => each.case === "accepted").length, 1);
  });

  test("what was acknowledged before a half-close counts, and is refused as ever when it is from the future", async () => {
    const own = client();
    const channel = newChannel();
    const stream = exchange(own, { channel });
    stream.submit(1, [echo("one"), echo("two")]);
    await stream.results(2);
    stream.ack(1n);
    stream.end();
    await stream.rest();
    const left = await present(own, { channel });
    const wrong = exchange(own, { channel });
    wrong.ack(3n);
    wrong.end();

    assert.deepEqual(
      left.map(({ cursor }) => cursor),
      [2n],
    );
    assert.equal((await refused(wrong.rest())).reason, "cursor_from_the_future");
  });

  test("max_unacked does not hold after a half-close", async () => {
    const stream = exchange(client(), { channel: newChannel(), maxUnacked: 1 });
    for (let seq = 0; seq < 3; seq += 1) stream.submit(seq, [echo(seq), echo(seq)]);
    await stream.results(1);
    stream.end();
    const left = resultsOf(await stream.rest());

    assert.deepEqual(
      left.map(({ cursor }) => cursor),
      [2n, 3n, 4n, 5n, 6n],
    );
  });

  test("a half-close is no acknowledgement", async () => {
    const own = client();
    const channel = newChannel();
    const stream = exchange(own, { channel });
    stream.submit(1, [echo("one"), echo("two")]);
    stream.end();
    await stream.rest();

    assert.equal((await present(own, { channel })).length, 2);
  });

  test("a job submitted again that is finished and acknowledged does not keep the stream open", async () => {
    const own = client();
    const channel = newChannel();
    const jobs = [1, 2, 3].map((value) => echo(value, { id: randomUUID(), channel }));
    await own.submit({ jobs });
    await follow(own, { channel }, 3);

    for (const [acknowledged, left] of [
      [1n, [2n, 3n]],
      [3n, []],
    ] as const) {
      await own.ackResults({ channel, cursor: acknowledged });
      const stream = exchange(own, { channel });
      stream.submit(1, jobs);
      stream.end();
      const answers = await stream.rest();
      const [accepted] = answers.flatMap((each) => (each.case === "accepted" ? [each.value] : []));
      assert.deepEqual(fates(accepted?.receipts ?? []), ["duplicate", "duplicate", "duplicate"]);
      assert.deepEqual(
        resultsOf(answers).map(({ cursor }) => cursor),
        left,
      );
    }
  });

  test("a job submitted again that is not finished is waited for", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const channel = newChannel();
    const job = { ...gate.job, id: randomUUID(), channel };
    await own.submit({ jobs: [job] });
    const held = await gate.next();
    const stream = exchange(own, { channel });
    stream.submit(1, [job]);
    const { receipts } = await stream.next("accepted");
    stream.end();
    await own.stats({});
    held.pass();

    assert.deepEqual(fates(receipts), ["duplicate"]);
    assert.deepEqual(
      resultsOf(await stream.rest()).map(({ jobId }) => jobId),
      [job.id],
    );
  });

  test("a job that names another channel is not waited for", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const [channel, elsewhere] = [newChannel(), newChannel()];
    const stream = exchange(own, { channel });
    stream.submit(1, [{ ...gate.job, channel: elsewhere }, echo("here")]);
    const held = await gate.next();
    stream.end();
    const answers = await stream.rest();
    held.pass();
    const [other] = await follow(own, { channel: elsewhere }, 1);

    assert.deepEqual(resultsOf(answers).map(outputOf), ["here"]);
    assert.equal(other?.jobId, held.jobId);
  });

  test("results that were sent before the last receipt of their submit do not keep the stream open", async () => {
    const paced = server().client(way, "paced");
    const stream = exchange(paced, { channel: newChannel() });
    stream.submit(
      1,
      Array.from({ length: 30 }, (_, index) => echo(index)),
    ); // three times the burst: taken in pieces
    await stream.results(1); // long before the receipt
    stream.end();
    const [accepted] = (await stream.rest()).filter((each) => each.case === "accepted");

    assert.deepEqual(fates(accepted?.value.receipts ?? []), Array(30).fill("accepted"));
  });

  test("a client whose connection breaks goes on from its cursor, without loss or doubles", async () => {
    const own = client();
    const channel = newChannel();
    const jobs = Array.from({ length: 20 }, (_, index) => echo(index, { id: randomUUID() }));
    const broken = exchange(own, { channel, maxUnacked: 7 });
    broken.submit(1, jobs.slice(0, 10));
    const handled = await broken.results(3);
    broken.submit(2, jobs.slice(10));
    broken.cut(); // nobody knows whether the second submit was taken

    const stream = exchange(own, { channel, afterCursor: handled.at(-1)?.cursor ?? 0n });
    stream.submit(1, jobs.slice(0, 10));
    stream.submit(2, jobs.slice(10));
    stream.end();
    const answers = await stream.rest();

    const found = answers.flatMap((each) => (each.case === "accepted" ? fates(each.value.receipts) : []));
    assert.equal(found.length, 20);
    assert.ok(
      found.every((fate) => fate === "accepted" || fate === "duplicate"),
      found.join(),
    );
    const all = [...handled, ...resultsOf(answers)];
    assert.deepEqual(
      all.map(({ cursor }) => Number(cursor)),
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
    assert.deepEqual(all.map(({ jobId }) => jobId).toSorted(), jobs.map(({ id }) => id ?? "").toSorted());
  });

  test("the jobs of a dropped stream go on", async (t) => {
    const gate = await gateFor(t);
    const own = client();
    const channel = newChannel();
    const stream = exchange(own, { channel });
    stream.submit(1, [gate.job]);
    const held = await gate.next();
    await stream.next("accepted");
    stream.cut();
    await assert.rejects(stream.rest());
    held.pass();
    const [result] = await follow(own, { channel }, 1);

    assert.deepEqual([result?.jobId, result?.state, result?.attempts], [held.jobId, JobState.SUCCEEDED, 1]);
  });

  test("ten streams may be open at once and one more is refused, with advice when to come back", async () => {
    const own = client();
    const streams = Array.from({ length: 10 }, () => exchange(own, { channel: newChannel() }));
    for (const stream of streams) await stream.next("opened");
    const error = await refused(exchange(own, { channel: newChannel() }).rest());
    const other = exchange(client(), { channel: newChannel() });
    await other.next("opened");
    const [first] = streams;
    first?.end();
    await first?.rest();
    const again = exchange(own, { channel: newChannel() });
    await again.next("opened");
    for (const stream of [...streams, other, again]) stream.cut();

    assert.deepEqual([error.code, error.reason], ["ResourceExhausted", "too_many_streams"]);
    assert.ok(error.retryAfterMs && error.retryAfterMs > 0);
  });

  test("streams that end, are dropped or are refused in the middle give their places free", async () => {
    const own = client();
    const channel = newChannel();
    for (let count = 0; count < 12; count += 1) {
      const stream = exchange(own, { channel });
      await stream.next("opened");
      stream.end();
      await stream.rest();
      const wrong = exchange(own, { channel });
      await wrong.next("opened");
      wrong.send({ case: undefined });
      assert.equal((await refused(wrong.rest())).reason, "malformed_request");
    }
    for (let count = 0; count < 12; count += 1) (await openedOnce(() => exchange(own, { channel }))).cut();
  });

  /** Opens a stream, again and again while the server has not noticed yet that others were dropped. */
  async function openedOnce(open: () => ReturnType<typeof exchange>) {
    for (;;) {
      const stream = open();
      const error = await stream.next("opened").then(
        () => undefined,
        (thrown: unknown) => refused(Promise.reject(thrown)),
      );
      if (!error) return stream;
      assert.equal(error.reason, "too_many_streams");
    }
  }
}

function resultsOf(answers: readonly ExchangeResponse["response"][]): Result[] {
  return answers.flatMap((each) => (each.case === "results" ? each.value.results : []));
}
