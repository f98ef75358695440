import assert from "node:assert/strict";
import { test } from "node:test";
import { job, type ReceivedResult, sleep } from "../../../clients/typescript/index.ts";
import { bareStatus, numbers, start, until } from "./fixtures.ts";

const channel = "web";
const echoes = (count: number) => [...numbers(count)].map((input) => job("echo", { input }, { channel }));
const cursorOf = ({ cursor }: ReceivedResult) => cursor;

test("stopAtEnd gives what is there and ends", async (t) => {
  const { client } = await start(t);
  const jobs = [
    job("echo", { a: [1, null, "x"] }, { channel }),
    job("echo", Uint8Array.of(1, 2), { channel }),
    job(sleep, { durationMs: 7 }, { channel }),
    job("echo", undefined, { channel }),
  ];
  await client.submitAll(jobs);
  const results = await Array.fromAsync(client.results({ channel, stopAtEnd: true }));
  assert.deepEqual(
    results.map(({ jobId }) => jobId),
    jobs.map(({ spec }) => spec.id),
  );
  const [json, data, message, nothing] = results.map(({ output }) => output);
  assert.deepEqual(json, { a: [1, null, "x"] });
  assert.deepEqual(new Uint8Array(data as Uint8Array), Uint8Array.of(1, 2));
  assert.equal((message as { durationMs: number }).durationMs, 7);
  assert.equal(nothing, undefined);
});

test("results follow, and go on after the last one taken when the connection was lost", async (t) => {
  const { client, server } = await start(t);
  await client.submitAll(echoes(3));
  const seen: number[] = [];
  for await (const result of client.results({ channel })) {
    seen.push(result.cursor);
    if (seen.length === 2) server.cut(); // the third is on its way and may come twice
    if (seen.length === 3) {
      await server.restart();
      await client.submitAll(echoes(2));
    }
    if (seen.length === 5) break;
  }
  assert.deepEqual(seen, [1, 2, 3, 4, 5]);
});

test("a server that ends the stream is asked again", async (t) => {
  const { client, server } = await start(t);
  await client.submitAll(echoes(1));
  const loop = client.results({ channel });
  await loop.next();
  const next = loop.next();
  await until(() => server.streams.size === 1);
  server.cut(0);
  await until(() => server.streams.size === 0);
  await client.submitAll(echoes(1));
  assert.equal((await next).value?.cursor, 2);
  await loop.return();
});

test("ack acknowledges up to the result, together with what was asked for meanwhile", async (t) => {
  const { client, server } = await start(t);
  await client.submitAll(echoes(50));
  const acks: number[] = [];
  server.behaviour.onUnary["ackResults"] = (({ cursor }: { cursor: bigint }) => {
    acks.push(Number(cursor));
    return { cursor };
  }) as never;
  const results = await Array.fromAsync(client.results({ channel, stopAtEnd: true }));
  await Promise.all(results.map((result) => result.ack()));
  assert.equal(acks.at(-1), 50);
  assert.ok(acks.length <= 3, `${acks.length} calls`);
  await results[10]?.ack();
  assert.ok(acks.length <= 3, "what is acknowledged is not acknowledged again");
});

test("autoAck acknowledges a result once the next is asked for", async (t) => {
  const { client, server } = await start(t);
  await client.submitAll(echoes(3));
  for await (const { cursor } of client.results({ channel, autoAck: true })) if (cursor === 2) break;
  assert.equal(server.acked.get(channel), 1);
  const rest = await Array.fromAsync(client.results({ channel, autoAck: true, stopAtEnd: true }), cursorOf);
  assert.deepEqual(rest, [2, 3]);
  assert.equal(server.acked.get(channel), 3);
});

test("an acknowledgement that fails comes out of the loop", async (t) => {
  const { client, server } = await start(t);
  await client.submitAll(echoes(3));
  server.behaviour.onUnary["ackResults"] = () => {
    throw bareStatus(7, "no");
  };
  await assert.rejects(Array.fromAsync(client.results({ channel, autoAck: true, stopAtEnd: true })), {
    codeName: "PERMISSION_DENIED",
  });
});

test("a signal ends the loop quietly and cancels the call", async (t) => {
  const { client, server } = await start(t);
  const stop = new AbortController();
  const all = Array.fromAsync(client.results({ channel, signal: stop.signal }));
  await until(() => server.streams.size === 1);
  const cancelled = server.cancelled();
  stop.abort();
  assert.deepEqual(await all, []);
  await cancelled;
});

test("jobs are listed page by page", async (t) => {
  const { client, server } = await start(t);
  const tokens: string[] = [];
  server.behaviour.onUnary["listJobs"] = (({ pageToken, state }: { pageToken: string; state: number }) => {
    tokens.push(pageToken);
    const page = Number(pageToken || "1");
    const jobs = [1, 2].map((at) => ({ id: `${page}.${at}`, state, attempts: 1 }));
    return { jobs, nextPageToken: page < 3 ? String(page + 1) : "" };
  }) as never;
  const seen: string[] = [];
  for await (const { id, state } of client.listJobs({ state: "DEAD" })) {
    seen.push(`${id} ${state}`);
    if (seen.length === 3) assert.deepEqual(tokens, ["", "2"], "the next page is not asked for early");
  }
  assert.deepEqual(tokens, ["", "2", "3"]);
  assert.equal(seen.at(-1), "3.2 DEAD");
});
