import assert from "node:assert/strict";
import { test } from "node:test";
import { echo, imageResize } from "../../../clients/typescript/index.ts";
import { jsonOf, numbers, refused, start, until } from "./fixtures.ts";

test("every input is yielded once with its index, its input and its output", async (t) => {
  const { client, server } = await start(t);
  const seen: number[] = [];
  for await (const { index, input, result } of client.map(echo, numbers(1_000))) {
    assert.equal(result?.output, input);
    assert.equal(index, input);
    seen.push(index);
  }
  assert.deepEqual(
    seen.toSorted((a, b) => a - b),
    [...numbers(1_000)],
  );
  assert.equal(server.opens.length, 1);
  assert.ok(Math.max(...server.batches) <= server.behaviour.maxJobsPerSubmit);
  assert.ok(server.batches.length < 100, `1000 jobs took ${server.batches.length} messages`);
});

test("a typed task gives typed outputs, and a result tells its times", async (t) => {
  const { client, server } = await start(t);
  // The fake server gives inputs back, so the task's "output" is its input here.
  const task = { name: imageResize.name, input: imageResize.input, output: imageResize.input };
  const inputs = [{ source: { case: "path", value: "a.jpg" } as const, width: 320, key: "mine" }];
  for await (const { input, result } of client.map(task, inputs)) {
    assert.equal(input.key, "mine");
    assert.equal(result?.output?.width, 320);
    assert.equal(result?.output?.source.value, "a.jpg");
    assert.equal(result?.queueWaitMs, 10);
    assert.equal(result?.executionMs, 20);
    assert.equal(result?.submittedAt.getTime(), 1_000);
  }
  assert.equal(server.jobs.size, 1);
});

test("an output of another type than the task's is an error", async (t) => {
  const { client } = await start(t);
  await assert.rejects(Array.fromAsync(client.map(imageResize, [{ width: 1 }])), { reason: "unexpected_output" });
});

test("nothing is sent for no inputs", async (t) => {
  const { client, server } = await start(t);
  assert.deepEqual(await Array.fromAsync(client.map(echo, [])), []);
  assert.equal(server.opens.length, 0);
});

for (const kind of ["sync", "async"] as const) {
  test(`inputs are not pulled beyond the window (${kind})`, async (t) => {
    const { client, server } = await start(t);
    let pulled = 0;
    function* endless() {
      for (;;) yield pulled++;
    }
    const inputs =
      kind === "sync"
        ? endless()
        : (async function* () {
            yield* endless();
          })();
    let taken = 0;
    for await (const _ of client.map(echo, inputs, { concurrency: 10 })) {
      taken++;
      assert.ok(pulled - taken < 10 + 1, `${pulled} pulled, ${taken} taken`);
      for (let round = 0; round < 3; round++) await new Promise(setImmediate);
      assert.ok(pulled - taken < 10 + 1, `${pulled} pulled, ${taken} taken after a while`);
      if (taken === 50) break;
    }
    assert.ok(server.jobs.size >= 50);
    assert.ok(server.jobs.size < 60);
  });

  test(`leaving the loop cancels the stream and returns the inputs (${kind})`, async (t) => {
    const { client, server } = await start(t);
    let isReturned = false;
    function* endless() {
      try {
        for (let index = 0; ; index++) yield index;
      } finally {
        isReturned = true;
      }
    }
    async function* asynchronous() {
      yield* endless();
    }
    const cancelled = server.cancelled();
    for await (const _ of client.map(echo, kind === "sync" ? endless() : asynchronous(), { concurrency: 4 })) break;
    await cancelled;
    await until(() => isReturned);
    assert.equal(server.streams.size, 0);
  });
}

test("leaving the loop does not wait for an input that never comes", async (t) => {
  const { client } = await start(t);
  async function* stuck() {
    yield 1;
    await new Promise(() => undefined);
  }
  for await (const _ of client.map(echo, stuck())) break;
});

test("the error of the inputs comes out of the loop", async (t) => {
  const { client } = await start(t);
  function* broken() {
    yield 1;
    throw new Error("disk on fire");
  }
  await assert.rejects(Array.fromAsync(client.map(echo, broken())), { message: "disk on fire" });
});

test("a result is acknowledged once the next one is asked for, not before", async (t) => {
  const { client, server } = await start(t);
  const loop = client.map(echo, numbers(2), { concurrency: 1 });
  await loop.next();
  const [channel = ""] = server.channels.keys();
  assert.ok(channel.startsWith("map-"));
  assert.equal(server.acked.get(channel), undefined);
  await loop.next();
  assert.equal(server.acked.get(channel), 1);
  assert.equal((await loop.next()).done, true);
  assert.equal(server.acked.get(channel), 2);
});

test("a job that is refused for good is yielded with its refusal and spoils no neighbour", async (t) => {
  const { client, server } = await start(t, {
    receipt: (spec) => (jsonOf(spec) === 3 ? refused("invalid_argument") : undefined),
  });
  const done = await Array.fromAsync(client.map(echo, numbers(6)));
  assert.equal(done.length, 6);
  const bad = done.filter(({ refusal }) => refusal !== undefined);
  assert.deepEqual(
    bad.map(({ index, input, refusal }) => [index, input, refusal?.reason]),
    [[3, 3, "invalid_argument"]],
  );
  assert.equal(server.jobs.size, 5);
});

test("an input that cannot be encoded is refused without being sent", async (t) => {
  const { client, server } = await start(t);
  const done = await Array.fromAsync(client.map(echo, [1, 2n, 3]));
  const bad = done.find(({ index }) => index === 1);
  assert.equal(bad?.refusal?.reason, "invalid_argument");
  assert.equal(bad?.refusal?.violations[0]?.field, "input");
  assert.equal(server.jobs.size, 2);
});

test("an input too large for the server is refused without breaking the stream", async (t) => {
  const { client, server } = await start(t, { maxMessageBytes: 4_096 });
  const inputs = [new Uint8Array(10), new Uint8Array(5_000), ...Array.from({ length: 20 }, () => new Uint8Array(900))];
  const done = await Array.fromAsync(client.map(echo, inputs));
  assert.deepEqual(
    done.flatMap(({ index, refusal }) => (refusal ? [[index, refusal.reason]] : [])),
    [[1, "message_too_large"]],
  );
  assert.equal(server.jobs.size, 21);
  assert.equal(server.opens.length, 1);
});

test("a job that is refused for now is sent again after the server's delay", async (t) => {
  const { client, server, slept } = await start(t, {
    receipt: (_spec, times) => (times < 3 ? refused("queue_full", 700) : undefined),
  });
  const done = await Array.fromAsync(client.map(echo, numbers(5)));
  assert.ok(done.every(({ result }) => result?.state === "SUCCEEDED"));
  assert.equal(done.length, 5);
  assert.deepEqual([...server.submitted.values()], [3, 3, 3, 3, 3]);
  assert.deepEqual(slept, [700, 700]);
});

test("after a lost stream, jobs are repeated under their ids and results go on after the last taken", async (t) => {
  const { client, server } = await start(t, { completes: () => false });
  const loop = client.map(echo, numbers(6), { concurrency: 6 });
  const first = loop.next();
  await until(() => server.jobs.size === 6);
  const ids = [...server.jobs.keys()];
  server.complete(...ids.slice(0, 3));
  assert.equal((await first).value?.result?.cursor, 1);
  assert.equal((await loop.next()).value?.result?.cursor, 2); // so 1 is taken, 2 and 3 are not
  server.behaviour.receipt = () => null; // the answers are lost
  server.cut();
  await until(() => server.opens.length === 2 && ids.slice(3).every((id) => server.submitted.get(id) === 2));
  assert.equal(Number(server.opens[1]?.afterCursor), 1);
  assert.equal(server.opens[0]?.channel, server.opens[1]?.channel);
  assert.deepEqual(
    ids.slice(0, 3).map((id) => server.submitted.get(id)),
    [1, 1, 1],
  );
  server.complete(...ids.slice(3));
  const rest = await Array.fromAsync(loop);
  assert.deepEqual(
    rest.map(({ result }) => result?.cursor),
    [3, 4, 5, 6],
  );
  assert.equal(server.jobs.size, 6);
});

test("nothing is lost or doubled however often the server dies", async (t) => {
  const { client, server } = await start(t, {}, { reconnectMs: 3_600_000 });
  const seen = new Map<number, number>();
  for await (const { index, result } of client.map(echo, numbers(400), { concurrency: 50 })) {
    assert.equal(result?.output, index);
    seen.set(index, (seen.get(index) ?? 0) + 1);
    if (seen.size === 30) server.cut();
    if (seen.size % 100 === 60) await server.restart();
    if (seen.size === 250) server.cut(1); // CANCELLED and INTERNAL are how HTTP/2 resets look
    if (seen.size === 300) server.cut(13);
  }
  assert.equal(seen.size, 400);
  assert.ok([...seen.values()].every((times) => times === 1));
  assert.equal(server.jobs.size, 400);
  assert.ok(server.opens.length >= 4);
});

test("lost receipts do no harm: the stream's results are enough", async (t) => {
  const { client, server } = await start(t, { receipt: () => null });
  assert.equal((await Array.fromAsync(client.map(echo, numbers(20)))).length, 20);
  assert.equal(server.opens.length, 1);
});

test("without progress for reconnectMs the loop throws", async (t) => {
  const { client, server, slept } = await start(t, {}, { reconnectMs: 20_000 });
  server.behaviour.onRequest = (request) => {
    if (request.case === "submit") server.cut();
    return request.case === "submit";
  };
  await assert.rejects(Array.fromAsync(client.map(echo, [1])), { reason: "unreachable", codeName: "UNAVAILABLE" });
  const waited = slept.reduce((sum, ms) => sum + ms, 0);
  assert.ok(waited > 10_000 && waited < 20_000, `waited ${waited} ms`);
});

test("a status that trying again cannot mend is thrown at once", async (t) => {
  const { client, server, slept } = await start(t);
  server.behaviour.onRequest = (request) => {
    if (request.case === "submit") server.cut(7);
    return request.case === "submit";
  };
  await assert.rejects(Array.fromAsync(client.map(echo, [1])), { codeName: "PERMISSION_DENIED" });
  assert.deepEqual(slept, []);
});

test("a signal ends the loop with its reason", async (t) => {
  const { client } = await start(t, { completes: () => false });
  const stop = new AbortController();
  const loop = client.map(echo, numbers(3), { signal: stop.signal });
  const next = loop.next();
  stop.abort(new Error("enough"));
  await assert.rejects(next, { message: "enough" });
});

test("closing the client ends the loop", async (t) => {
  const { client, server } = await start(t, { completes: () => false });
  const next = client.map(echo, numbers(3)).next();
  await until(() => server.jobs.size === 3);
  await client.close();
  await assert.rejects(next, { reason: "client_closed" });
});

test("a concurrency out of bounds is refused", async (t) => {
  const { client } = await start(t);
  for (const concurrency of [0, 10_001, 1.5]) {
    await assert.rejects(client.map(echo, [1], { concurrency }).next(), RangeError);
  }
});
