/** Limits and bad calls: what is refused, with which advice, and that the next call is served. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { until } from "../../support/until.ts";
import type { TestServer, Way } from "../fixtures.ts";
import { openGate } from "../gate.ts";
import { data, echo, fates, follow, json, newChannel } from "../jobs.ts";
import { type Refused, refused } from "../refused.ts";

/** As long as the advice, and up to half as long again, so that clients do not come back together. */
function assertPushback({ retryAfterMs = 0, pushbackMs = 0 }: Refused): void {
  assert.ok(
    pushbackMs >= retryAfterMs && pushbackMs <= Math.ceil(retryAfterMs * 1.5),
    `${pushbackMs} for ${retryAfterMs}`,
  );
}

export function limitCases(way: Way, server: () => TestServer): void {
  const client = (name?: string) => server().client(way, name);

  test("a full queue refuses with advice when to come back, and takes jobs again once there is room", async () => {
    const gate = await openGate();
    try {
      const channel = newChannel();
      const job = { task: "gate", input: json({ port: gate.port }), channel };
      await client().submit({ jobs: [job, job] });
      const running = await Promise.all([gate.next(), gate.next()]); // both workers are taken: from here on jobs wait
      let accepted = 0;
      let error: Awaited<ReturnType<typeof refused>> | undefined;
      while (!error && accepted < 10) {
        const call = client().submit({ jobs: [job] });
        await call.then(
          () => {
            accepted += 1;
          },
          async () => {
            error = await refused(call);
          },
        );
      }
      const { snapshot } = await client().stats({});
      gate.open();
      for (const attempt of running) attempt.pass();
      await follow(client(), { channel }, 2 + accepted);
      const later = await client().submit({ jobs: [job] });

      assert.ok(error);
      assert.equal(accepted, 4);
      assert.deepEqual([error.code, error.reason, error.quota], ["ResourceExhausted", "queue_full", ["queue_full"]]);
      assert.ok(error.retryAfterMs && error.retryAfterMs >= 100 && error.retryAfterMs <= 10_000);
      assertPushback(error);
      assert.match(error.message, /pool "held" holds 4 jobs and its limit is 4/);
      const held = snapshot?.pools.find(({ pool }) => pool === "held");
      assert.deepEqual([Number(held?.queued), held?.running], [4, 2]);
      assert.ok((held?.oldestAge?.nanos ?? 0) > 0);
      assert.deepEqual(fates(later.receipts), ["accepted"]);
    } finally {
      gate.open();
      await gate.close();
    }
  });

  test("a client over its rate is refused with advice when to come back; others are not", async () => {
    const error = await refused(client("hardly-any").submit({ jobs: [echo(1)] }));
    const other = await client().submit({ jobs: [echo(1)] });

    assert.deepEqual([error.code, error.reason, error.quota], ["ResourceExhausted", "rate_limited", ["rate_limited"]]);
    assert.ok(error.retryAfterMs && error.retryAfterMs > 900_000 && error.retryAfterMs <= 1_000_000);
    assertPushback(error);
    assert.match(error.message, /"hardly-any"/);
    assert.deepEqual(fates(other.receipts), ["accepted"]);
  });

  test("more jobs at once than a client's burst could never be taken, so no time is named", async () => {
    const error = await refused(client("hardly-any").submit({ jobs: Array.from({ length: 6 }, () => echo(1)) }));

    assert.deepEqual([error.code, error.reason], ["ResourceExhausted", "over_burst"]);
    assert.deepEqual([error.retryAfterMs, error.pushbackMs], [undefined, -1]);
  });

  test("a client that comes back when it was told to is served", async () => {
    const submit = () => client("paced").submit({ jobs: Array.from({ length: 10 }, () => echo(1)) });
    for (let count = 0; count < 3; count += 1) {
      const advice = await submit().then(
        () => undefined,
        async (thrown: unknown) => refused(Promise.reject(thrown)),
      );
      if (!advice) continue;
      assert.equal(advice.reason, "rate_limited");
      await new Promise((resolve) => setTimeout(resolve, advice.retryAfterMs)); // the advice itself is what is tested
      assert.deepEqual(fates((await submit()).receipts), Array(10).fill("accepted"));
    }
  });

  test("a message over the limit is refused, a little over or far, and the server goes on", async (t) => {
    if (!way.isBidi)
      return t.skip("over HTTP/1.1 this library's client reads no answer before it has sent everything; curl does");
    for (const bytes of [300_000, 4_000_000]) {
      const call = client().submit({ jobs: [{ task: "echo", input: data(new Uint8Array(bytes)) }] });
      // refused before anything of it was read, so by the transport and without a reason of ours
      await assert.rejects(call, (error: unknown) => {
        assert.ok(error instanceof ConnectError);
        assert.equal(error.code, Code.ResourceExhausted);
        assert.match(error.message, /262144/);
        return true;
      });
      assert.deepEqual(fates((await client().submit({ jobs: [echo("next")] })).receipts), ["accepted"]);
    }
  });

  test("metadata over 16 KiB is refused, and the next call is served", async () => {
    const headers = { "x-large": "x".repeat(17_000) };
    const error = await refused(client().stats({}, { headers }));

    assert.deepEqual([error.code, error.reason], ["ResourceExhausted", "metadata_too_large"]);
    assert.match(error.message, /limit is 16384/);
    assert.ok((await client().stats({})).snapshot);
    assert.ok((await client().stats({}, { headers: { "x-large": "x".repeat(15_000) } })).snapshot);
  });

  test("WatchStats beyond `limits.statsWatches` calls of one client is refused; one that ends makes room", async () => {
    const name = `watcher-${randomUUID()}`;
    const hangUp = new AbortController();
    const open = (signal: AbortSignal) =>
      client(name).watchStats({ intervalMs: 60_000 }, { signal })[Symbol.asyncIterator]().next();
    await Promise.all(Array.from({ length: 3 }, () => open(hangUp.signal)));
    const error = await refused(open(AbortSignal.timeout(60_000)));
    assert.deepEqual([error.code, error.reason], ["ResourceExhausted", "too_many_stats_watches"]);
    hangUp.abort();
    const isServed = () => open(AbortSignal.timeout(60_000)).then(Boolean, () => false);
    await until(isServed); // that the clients hung up takes a moment to get here
  });

  test("a client's name must be a name", async () => {
    for (const name of ["two words", "x".repeat(101), "semi;colon"]) {
      const error = await refused(client(name).stats({}));
      assert.deepEqual([error.code, error.reason], ["InvalidArgument", "invalid_argument"]);
      assert.deepEqual(error.fields, ["metadata millpond-client"]);
    }
    assert.equal((await client().stats({})).snapshot?.client?.client, "anonymous");
  });

  test("a deadline that has passed ends a call with DEADLINE_EXCEEDED", async () => {
    const call = async () => {
      for await (const _ of client().watchStats({ intervalMs: 60_000 }, { timeoutMs: 50 })) continue;
    };
    await assert.rejects(call(), { rawMessage: /timed out|deadline/i });
  });
}
