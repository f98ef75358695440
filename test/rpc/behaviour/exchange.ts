/** The Exchange stream while it is open: how it begins, receipts, results, acknowledgements, what slows it. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { ExchangeNotice_Kind as Notice } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { JobState } from "../../../src/gen/millpond/v1/job_pb.ts";
import type { TestServer, Way } from "../fixtures.ts";
import { echo, exchange, fates, follow, idsOf, json, newChannel, outputOf, present } from "../jobs.ts";
import { refused } from "../refused.ts";

export function exchangeCases(way: Way, server: () => TestServer): void {
  /** A client that no other test uses, unless it is named. */
  const client = (name = `client-${randomUUID()}`) => server().client(way, name);

  /** A client of its own, whose channel holds `count` results. */
  async function filled(count: number) {
    const own = client();
    const channel = newChannel();
    await own.submit({ jobs: Array.from({ length: count }, (_, index) => echo(index, { channel })) });
    await follow(own, { channel }, count);
    return { own, channel };
  }

  test("a stream that does not begin with `open`, or has it twice, is a violation of the protocol", async () => {
    const channel = newChannel();
    const own = client();
    const begins: ((stream: ReturnType<typeof exchange>) => void)[] = [
      (stream) => stream.submit(1, [echo("never", { channel })]),
      (stream) => stream.ack(0n),
      (stream) => {
        for (let count = 0; count < 2; count += 1) stream.send({ case: "open", value: { channel } });
      },
    ];
    for (const begin of begins) {
      const stream = exchange(own);
      begin(stream);
      const error = await refused(stream.rest());
      assert.deepEqual([error.code, error.reason], ["FailedPrecondition", "protocol_violation"]);
    }
    assert.deepEqual(await present(own, { channel }), []);
  });

  test("an empty request is refused, as is one of a kind that the server does not know", async () => {
    const stream = exchange(client(), { channel: newChannel() });
    await stream.next("opened");
    stream.send({ case: undefined });

    const error = await refused(stream.rest());

    assert.deepEqual([error.code, error.reason], ["InvalidArgument", "malformed_request"]);
  });

  test("`opened` tells where reading begins and the bounds in force", async () => {
    const { own, channel } = await filled(2);
    for (const [asked, given] of [
      [0, 1_000],
      [1, 1],
      [10_000, 10_000],
    ] as const) {
      const stream = exchange(own, { channel, afterCursor: 2n, maxUnacked: asked });
      const { cursor, maxUnacked, maxJobsPerSubmit, maxMessageBytes } = await stream.next("opened");
      stream.cut();
      assert.deepEqual([cursor, maxUnacked, maxJobsPerSubmit, maxMessageBytes], [2n, given, 100, 262_144]);
    }
  });

  test("an `open` out of bounds is refused by the field's path", async () => {
    for (const [open, field] of [
      [{ maxUnacked: 10_001 }, "open.max_unacked"],
      [{ channel: "no spaces" }, "open.channel"],
      [{ channel: "x".repeat(101) }, "open.channel"],
    ] as const) {
      const error = await refused(exchange(client(), open).rest());
      assert.deepEqual([error.code, error.reason, error.fields], ["InvalidArgument", "invalid_argument", [field]]);
    }
  });

  test("many submits get a receipt for each job, by index, whatever becomes of their neighbours", async () => {
    const channel = newChannel();
    const stream = exchange(client(), { channel });
    const ids = Array.from({ length: 20 }, () => [randomUUID(), randomUUID()] as const);
    for (const [seq, [first, last]] of ids.entries()) {
      stream.submit(seq, [
        echo("first", { id: first }),
        { task: "no.such.task" },
        echo("bad id", { id: "4711" }),
        echo("again", { id: first }),
        echo("last", { id: last }),
      ]);
    }
    const receipts = new Map<number, readonly string[][]>();
    while (receipts.size < ids.length) {
      const accepted = await stream.next("accepted");
      assert.ok(!receipts.has(accepted.seq), `two answers to submit ${accepted.seq}`);
      receipts.set(accepted.seq, [fates(accepted.receipts), idsOf(accepted.receipts)]);
    }
    const results = await stream.results(2 * ids.length);
    stream.cut();

    const expected = ["accepted", "unknown_task", "invalid_argument", "already_exists", "accepted"];
    for (const [seq, own] of ids.entries()) assert.deepEqual(receipts.get(seq), [expected, [...own]]);
    assert.deepEqual(results.map(({ jobId }) => jobId).toSorted(), ids.flat().toSorted());
  });

  test("a submit that is refused as a whole is refused job by job, and the stream goes on", async () => {
    const stream = exchange(client(), { channel: newChannel() });
    stream.submit(
      1,
      Array.from({ length: 101 }, () => echo("too many")),
    );
    const tooMany = await stream.next("accepted");
    stream.submit(2, [echo("next")]);
    const next = await stream.next("accepted");
    stream.end();
    await stream.rest();

    assert.deepEqual(fates(tooMany.receipts), Array(101).fill("invalid_argument"));
    assert.deepEqual(fates(next.receipts), ["accepted"]);
  });

  test("results come in the order of their cursors, without gaps, and each answer names its last", async () => {
    const stream = exchange(client(), { channel: newChannel() });
    const jobs = (from: number) => Array.from({ length: 50 }, (_, index) => echo(from + index));
    for (let seq = 0; seq < 4; seq += 1) stream.submit(seq, jobs(seq * 50));
    const cursors: bigint[] = [];
    const outputs: unknown[] = [];
    while (cursors.length < 200) {
      const { results, cursor } = await stream.next("results");
      cursors.push(...results.map((result) => result.cursor));
      outputs.push(...results.map(outputOf));
      assert.equal(cursor, cursors.at(-1));
    }
    stream.cut();

    const numbers = Array.from({ length: 200 }, (_, index) => index);
    assert.deepEqual(
      cursors,
      numbers.map((number) => BigInt(number + 1)),
    );
    assert.deepEqual(
      outputs.toSorted((a, b) => Number(a) - Number(b)),
      numbers,
    );
  });

  test("an acknowledgement holds for every reader of the channel and never goes back", async () => {
    const { own, channel } = await filled(3);
    const stream = exchange(own, { channel });
    await stream.results(3);
    stream.ack(2n);
    stream.ack(1n);
    await stream.caughtUp();
    const left = await present(own, { channel });
    stream.cut();

    assert.deepEqual(
      left.map(({ cursor }) => cursor),
      [3n],
    );
  });

  test("an acknowledgement from the future, or a beginning there, ends the stream", async () => {
    const { own, channel } = await filled(2);
    const acks = exchange(own, { channel });
    await acks.results(2);
    acks.ack(3n);

    for (const open of [() => acks, () => exchange(own, { channel, afterCursor: 3n })]) {
      const error = await refused(open().rest());
      assert.deepEqual([error.code, error.reason], ["OutOfRange", "cursor_from_the_future"]);
      assert.match(error.message, /newest result is 2/);
    }
    assert.equal((await present(own, { channel })).length, 2);
  });

  test("the server pauses at max_unacked results and goes on as they are acknowledged", async () => {
    const { own, channel } = await filled(5);
    const stream = exchange(own, { channel, maxUnacked: 2 });
    const cursors = async () => (await stream.next("results")).results.map(({ cursor }) => cursor);

    assert.deepEqual(await cursors(), [1n, 2n]);
    for (const last of [1n, 2n, 3n]) {
      await stream.caughtUp();
      assert.equal(stream.waiting("results"), 0);
      stream.ack(last);
      assert.deepEqual(await cursors(), [last + 2n]);
    }
    stream.cut();
  });

  test("acknowledging more than was sent gives no room beyond max_unacked", async () => {
    const { own, channel } = await filled(6);
    const stream = exchange(own, { channel, maxUnacked: 1 });
    await stream.results(1);
    stream.ack(3n);
    const after = await stream.next("results");
    await stream.caughtUp();
    const more = stream.waiting("results");
    stream.ack(4n);
    const last = await stream.next("results");
    stream.cut();

    assert.deepEqual(
      after.results.map(({ cursor }) => cursor),
      [4n],
    );
    assert.equal(more, 0);
    assert.deepEqual(
      last.results.map(({ cursor }) => cursor),
      [5n],
    );
  });

  test("streams on two channels see only their own", async () => {
    const own = client();
    const streams = ["a", "b"].map((name) => ({ name, stream: exchange(own, { channel: newChannel() }) }));
    for (const { name, stream } of streams) stream.submit(1, [echo(name), echo(name)]);

    for (const { name, stream } of streams) {
      stream.end();
      const answers = await stream.rest();
      const results = answers.flatMap((each) => (each.case === "results" ? each.value.results : []));
      assert.deepEqual(results.map(outputOf), [name, name]);
    }
  });

  test("two readers of one channel see all of it", async () => {
    const own = client();
    const channel = newChannel();
    const [submits, reads] = [exchange(own, { channel }), exchange(own, { channel })];
    await reads.next("opened");
    submits.submit(
      1,
      Array.from({ length: 10 }, (_, index) => echo(index)),
    );
    const [one, other] = await Promise.all([submits.results(10), reads.results(10)]);
    submits.cut();
    reads.cut();

    assert.equal(one.length, 10);
    assert.deepEqual(
      one.map(({ jobId }) => jobId),
      other.map(({ jobId }) => jobId),
    );
  });

  test("a client over its rate is slowed and told so, and every job is accepted in the end", async () => {
    const stream = exchange(client("paced"), { channel: newChannel() });
    const startedAt = performance.now();
    stream.submit(
      0,
      Array.from({ length: 25 }, () => echo("more than the burst")),
    );
    for (let seq = 1; seq <= 5; seq += 1)
      stream.submit(
        seq,
        Array.from({ length: 5 }, () => echo(seq)),
      );
    const found: string[] = [];
    for (let seq = 0; seq <= 5; seq += 1) found.push(...fates((await stream.next("accepted")).receipts));
    const tookMs = performance.now() - startedAt;
    const notice = await stream.next("notice");
    stream.end();
    await stream.rest();

    assert.deepEqual(found, Array(50).fill("accepted"));
    assert.equal(notice.kind, Notice.THROTTLED);
    assert.match(notice.message, /over the rate/);
    assert.ok(tookMs >= 195, `50 jobs were accepted within ${tookMs} ms, at 200 a second and 10 at once`);
  });

  test("a job that fails retryably is tried as often as its task says, and its one result says so", async () => {
    const stream = exchange(client(), { channel: newChannel() });
    stream.submit(1, [{ task: "fail", input: json({ reason: "no_luck", retryable: true }) }]);
    stream.end();
    const answers = await stream.rest();

    const results = answers.flatMap((each) => (each.case === "results" ? each.value.results : []));
    const [result] = results;
    assert.deepEqual([results.length, result?.state, result?.attempts], [1, JobState.DEAD, 4]);
    assert.deepEqual([result?.failure?.reason, result?.failure?.retryable], ["no_luck", true]);
  });

  test("each submit may carry a traceparent, and one that is malformed is ignored", async () => {
    const stream = exchange(client(), { channel: newChannel() });
    const traceparents = [`00-${"a1".repeat(16)}-${"b2".repeat(8)}-01`, "nonsense", ""];
    const found: string[] = [];
    for (const [seq, traceparent] of traceparents.entries()) {
      stream.send({ case: "submit", value: { seq, traceparent, jobs: [echo(seq)] } });
      found.push(...fates((await stream.next("accepted")).receipts));
    }
    stream.end();
    await stream.rest();

    assert.deepEqual(found, ["accepted", "accepted", "accepted"]);
  });
}
