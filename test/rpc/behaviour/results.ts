/** Channels: following, resuming, acknowledging, on every front end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { JobState } from "../../../src/gen/millpond/v1/job_pb.ts";
import { openGate } from "../gate.ts";
import type { TestServer, Way } from "../fixtures.ts";
import { echo, follow, json, newChannel, outputOf, present } from "../jobs.ts";
import { refused } from "../refused.ts";

export function resultsCases(way: Way, server: () => TestServer): void {
  const client = (name?: string) => server().client(way, name);

  /** A channel of its own that holds `count` results. */
  async function filled(count: number): Promise<string> {
    const channel = newChannel();
    await client().submit({ jobs: Array.from({ length: count }, (_, index) => echo(index, { channel })) });
    await follow(client(), { channel }, count);
    return channel;
  }

  test("a reader that follows gets what is there and then what becomes final, in order and without gaps", async () => {
    const gate = await openGate();
    try {
      const channel = newChannel();
      await client().submit({
        jobs: [echo("before", { channel }), { task: "gate", input: json({ port: gate.port }), channel }],
      });
      const held = await gate.next();
      const cursors: bigint[] = [];
      const hangUp = new AbortController();
      for await (const { results, cursor } of client().results({ channel }, { signal: hangUp.signal })) {
        assert.equal(cursor, results.at(-1)?.cursor);
        cursors.push(...results.map((result) => result.cursor));
        if (cursors.length === 2) break;
        held.pass(); // only now, so that the second result becomes final while the reader waits
      }
      hangUp.abort();
      assert.deepEqual(cursors, [1n, 2n]);
    } finally {
      await gate.close();
    }
  });

  test("stop_at_end ends with OK after what is there, also when nothing is", async () => {
    const channel = await filled(3);

    assert.equal((await present(client(), { channel })).length, 3);
    assert.deepEqual(await present(client(), { channel: newChannel() }), []);
  });

  test("after_cursor leaves out what came before it", async () => {
    const channel = await filled(5);

    const results = await present(client(), { channel, afterCursor: 3n });

    assert.deepEqual(
      results.map(({ cursor }) => cursor),
      [4n, 5n],
    );
  });

  test("every reader of a channel sees all of it until it is acknowledged, and then none of it", async () => {
    const channel = await filled(4);

    const { cursor } = await client().ackResults({ channel, cursor: 3n });

    assert.equal(cursor, 3n);
    for (const afterCursor of [0n, 1n, 3n]) {
      const results = await present(client(), { channel, afterCursor });
      assert.deepEqual(
        results.map((result) => result.cursor),
        [4n],
      );
    }
  });

  test("an acknowledgement never goes back", async () => {
    const channel = await filled(3);
    await client().ackResults({ channel, cursor: 2n });

    const { cursor } = await client().ackResults({ channel, cursor: 1n });

    assert.equal(cursor, 2n);
  });

  test("an acknowledgement and a reader from the future are OUT_OF_RANGE, naming the newest result", async () => {
    const channel = await filled(2);
    const future = BigInt("18446744073709551615");

    for (const cursor of [3n, future]) {
      const calls = [
        () => client().ackResults({ channel, cursor }),
        () => present(client(), { channel, afterCursor: cursor }),
      ];
      for (const call of calls) {
        const error = await refused(call());
        assert.deepEqual([error.code, error.reason], ["OutOfRange", "cursor_from_the_future"]);
        assert.match(error.message, /newest result is 2/);
      }
    }
    assert.equal((await present(client(), { channel })).length, 2);
  });

  test("a channel is a client's own: another one's of the same name is another channel", async () => {
    const channel = newChannel();
    await client("alice").submit({ jobs: [echo("hers", { channel })] });
    await follow(client("alice"), { channel }, 1);

    assert.deepEqual(await present(client("bob"), { channel }), []);
  });

  test("jobs that name no channel go to `default`", async () => {
    const name = `nameless-${way.name.replaceAll(/[^a-z0-9]/gi, "-")}`;
    await client(name).submit({ jobs: [echo("plain")] });

    const [result] = await follow(client(name), { channel: "default" }, 1);
    const [same] = await present(client(name), { channel: "" });

    assert.equal(outputOf(result as never), "plain");
    assert.equal(same?.jobId, result?.jobId);
  });

  test("a channel whose name no job could have is refused, not waited for", async () => {
    const calls = [
      () => present(client(), { channel: "no spaces" }),
      () => client().ackResults({ channel: "no spaces", cursor: 0n }),
    ];
    for (const call of calls) {
      const error = await refused(call());
      assert.deepEqual([error.reason, error.fields], ["invalid_argument", ["channel"]]);
    }
  });

  test("a failure comes with its reason, message, details and attempts", async () => {
    const channel = newChannel();
    const input = json({ reason: "no_luck", message: "not today", details: { tried: ["this", "that"] } });
    await client().submit({ jobs: [{ task: "fail", input, channel }] });

    const [result] = await follow(client(), { channel }, 1);

    assert.deepEqual([result?.state, result?.attempts, result?.output], [JobState.DEAD, 1, undefined]);
    assert.deepEqual([result?.failure?.reason, result?.failure?.message], ["no_luck", "not today"]);
    assert.deepEqual(result?.failure?.details, { tried: ["this", "that"] });
  });

  test("a failure that may be retried is tried four times, and the result says so", async () => {
    const channel = newChannel();
    await client().submit({ jobs: [{ task: "fail", input: json({ retryable: true }), channel }] });

    const [result] = await follow(client(), { channel }, 1);

    assert.deepEqual([result?.state, result?.attempts, result?.failure?.retryable], [JobState.DEAD, 4, true]);
  });

  test("results too large for one message come in several", async () => {
    const channel = newChannel();
    await client().submit({
      jobs: Array.from({ length: 8 }, () => ({ task: "blob", input: json({ bytes: 150_000 }), channel })),
    });

    const results = await follow(client(), { channel }, 8);

    assert.ok(results.every(({ state }) => state === JobState.SUCCEEDED));
    const again = await present(client(), { channel });
    assert.equal(again.length, 8);
  });

  test("failures with a lot to say are bounded like outputs", async () => {
    const channel = newChannel();
    const input = json({ message: "é".repeat(4_096), details: { what: "ü".repeat(4_500) } });
    const jobs = Array.from({ length: 8 }, () => ({ task: "fail", input, channel }));
    for (let count = 0; count < 40; count += jobs.length) await client().submit({ jobs });

    const results = await follow(client(), { channel }, 40);

    assert.equal(results.length, 40);
    assert.equal((await present(client(), { channel })).length, 40);
  });

  test("an output that no message could carry fails the job for good", async () => {
    const channel = newChannel();
    await client().submit({ jobs: [{ task: "blob", input: json({ bytes: 300_000 }), channel }] });

    const [result] = await follow(client(), { channel }, 1);

    assert.deepEqual(
      [result?.state, result?.failure?.reason, result?.attempts],
      [JobState.DEAD, "output_too_large", 1],
    );
  });

  test("a client may have ten readers open, and one that hangs up gives its place free", async () => {
    const name = `many-readers-${way.name.replaceAll(/[^a-z0-9]/gi, "-")}`;
    const channel = newChannel();
    await client(name).submit({ jobs: [echo(1, { channel })] });
    await follow(client(name), { channel }, 1);
    const open: AbortController[] = [];
    for (let count = 0; count < 10; count += 1) {
      const hangUp = new AbortController();
      const reader = client(name).results({ channel }, { signal: hangUp.signal })[Symbol.asyncIterator]();
      await reader.next();
      open.push(hangUp);
    }

    const error = await refused(present(client(name), { channel }));
    assert.deepEqual([error.code, error.reason], ["ResourceExhausted", "too_many_streams"]);
    assert.ok(error.retryAfterMs && error.retryAfterMs > 0);
    assert.equal((await present(client("someone-else"), { channel })).length, 0);

    for (const hangUp of open) hangUp.abort();
    let tries = 0;
    const comeBack = async (): Promise<number> => {
      tries += 1;
      return present(client(name), { channel }).then(
        ({ length }) => length,
        (thrown) => (tries < 100 ? comeBack() : Promise.reject(thrown)),
      );
    };
    assert.equal(await comeBack(), 1);
  });

  test("a deadline ends a reader that follows, and frees it on the server", async () => {
    const name = `hurried-${way.name.replaceAll(/[^a-z0-9]/gi, "-")}`;
    const drained = async () => {
      for await (const _ of client(name).results({ channel: newChannel() }, { timeoutMs: 30 }))
        assert.fail("nothing is there");
    };
    for (let count = 0; count < 11; count += 1) {
      await assert.rejects(drained(), { rawMessage: /timed out|deadline/i });
    }
  });
}
