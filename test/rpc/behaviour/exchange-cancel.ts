/** `cancel` on an Exchange stream, and clients that go away. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { JobState } from "../../../src/gen/millpond/v1/job_pb.ts";
import { CancelAnswer_Kind as Kind } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import type { TestServer, Way } from "../fixtures.ts";
import { openGate } from "../gate.ts";
import { echo, exchange, json, later, newChannel } from "../jobs.ts";
import { refused } from "../refused.ts";

export function exchangeCancelCases(way: Way, server: () => TestServer): void {
  /** A client that no other test uses. */
  const client = () => server().client(way, `client-${randomUUID()}`);

  test("each job of a cancel gets its answer, and its result follows", async (t) => {
    const gate = await openGate();
    t.after(() => gate.close());
    const stream = exchange(client(), { channel: newChannel() });
    const [waits, runs, missing] = [randomUUID(), randomUUID(), randomUUID()];
    stream.submit(1, [
      echo("never", { id: waits, ...later }),
      { task: "gate", id: runs, input: json({ port: gate.port }) },
    ]);
    await gate.next();
    stream.send({ case: "cancel", value: { seq: 9, jobIds: [waits, runs, missing] } });
    const { seq, answers } = await stream.next("cancelled");
    stream.end();
    const rest = await stream.rest();
    const results = rest.flatMap((each) => (each.case === "results" ? each.value.results : []));

    assert.equal(seq, 9);
    assert.deepEqual(
      answers.map(({ jobId, kind }) => [jobId, kind]),
      [
        [waits, Kind.CANCELLED],
        [runs, Kind.CANCELLING],
        [missing, Kind.NOT_FOUND],
      ],
    );
    assert.deepEqual(results.map(({ jobId }) => jobId).toSorted(), [waits, runs].toSorted());
    assert.ok(results.every(({ state }) => state === JobState.CANCELLED));
  });

  test("a cancel right behind the submit finds its jobs", async () => {
    const stream = exchange(client(), { channel: newChannel() });
    for (let seq = 0; seq < 20; seq += 1) {
      const id = randomUUID();
      stream.submit(seq, [echo(seq, { id, ...later })]);
      stream.send({ case: "cancel", value: { seq, jobIds: [id.toUpperCase()] } });
      assert.equal((await stream.next("cancelled")).answers[0]?.kind, Kind.CANCELLED);
    }
    stream.end();
    await stream.rest();
  });

  test("a cancel out of bounds ends the stream, naming the field", async () => {
    for (const [jobIds, field] of [
      [[], "cancel.job_ids"],
      [["4711"], "cancel.job_ids[0]"],
      [Array.from({ length: 1_001 }, () => randomUUID()), "cancel.job_ids"],
    ] as const) {
      const stream = exchange(client(), { channel: newChannel() });
      stream.send({ case: "cancel", value: { seq: 1, jobIds: [...jobIds] } });
      const error = await refused(stream.rest());
      assert.deepEqual([error.code, error.reason, error.fields], ["InvalidArgument", "invalid_argument", [field]]);
    }
  });

  test("results that are acknowledged elsewhere make room", async () => {
    const own = client();
    const channel = newChannel();
    const stream = exchange(own, { channel, maxUnacked: 2 });
    stream.submit(
      1,
      [1, 2, 3, 4].map((value) => echo(value)),
    );
    await stream.results(2);
    await stream.caughtUp();
    assert.equal(stream.waiting("results"), 0);
    await own.ackResults({ channel, cursor: 1n });
    const [third] = await stream.results(1);
    const other = exchange(own, { channel });
    other.ack(2n);
    const [fourth] = await stream.results(1);
    for (const each of [stream, other]) each.cut();

    assert.deepEqual([third?.cursor, fourth?.cursor], [3n, 4n]);
  });

  test("a client that is gone is noticed in less than a second", async () => {
    const own = client();
    const open = () => exchange(own, { channel: newChannel() });
    const streams = Array.from({ length: 10 }, open);
    for (const stream of streams) await stream.next("opened");
    const goneAt = performance.now();
    for (const stream of streams) stream.cut();
    for (;;) {
      const stream = open();
      const opened = await stream.next("opened").then(
        () => true,
        async (thrown: unknown) => {
          assert.equal((await refused(Promise.reject(thrown))).reason, "too_many_streams");
          return false;
        },
      );
      stream.cut();
      if (opened) break;
    }
    const tookMs = performance.now() - goneAt;
    assert.ok(tookMs < 1_000, `${tookMs} ms`);
  });
}
