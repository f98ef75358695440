import assert from "node:assert/strict";
import { test } from "node:test";
import { createWriter } from "../../src/rpc/writer.ts";
import { createFakeClock, turn } from "../support/fake-clock.ts";

function open() {
  const clock = createFakeClock();
  const gone = new AbortController();
  const waiting: (() => void)[] = [];
  let stalls = 0;
  const writer = createWriter({
    ...{ clock, gone: gone.signal, stallMs: 1_000 },
    write: (_bytes, written) => void waiting.push(written),
    onStalled() {
      stalls += 1;
      gone.abort();
    },
  });
  return { clock, gone, waiting, writer, stalls: () => stalls };
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  await turn();
  return settled;
}

test("small messages are written without waiting, until 16 KiB of them wait in the transport", async () => {
  const { waiting, writer } = open();
  for (let count = 0; count < 16; count += 1) assert.ok(await isSettled(writer.write(Buffer.alloc(1024))));
  const next = writer.write(Buffer.alloc(1));
  assert.equal(await isSettled(next), false);
  waiting.shift()?.();
  assert.ok(await isSettled(next));
});

test("a large message is waited for", async () => {
  const { waiting, writer } = open();
  const large = writer.write(Buffer.alloc(1_000_000));
  assert.equal(await isSettled(large), false);
  waiting.shift()?.();
  assert.ok(await isSettled(large));
});

test("the end waits until everything is written, or the other side is gone", async () => {
  const { waiting, writer, gone } = open();
  void writer.write(Buffer.alloc(1));
  const flushed = writer.flushed();
  assert.equal(await isSettled(flushed), false);
  waiting.shift()?.();
  assert.ok(await isSettled(flushed));
  void writer.write(Buffer.alloc(1));
  const over = writer.flushed();
  gone.abort();
  assert.ok(await isSettled(over));
});

test("a standstill of the server itself is not taken for one of the other side", async () => {
  const { clock, waiting, writer, stalls } = open();
  const written = writer.write(Buffer.alloc(100_000));
  clock.standStill(60_000);
  clock.advance(0);
  waiting.shift()?.();
  await written;
  assert.equal(stalls(), 0);
});

test("when nothing is written for long enough the other side is cut; what is slow and moves is not", async () => {
  const { clock, waiting, writer, stalls } = open();
  for (let count = 0; count < 5; count += 1) void writer.write(Buffer.alloc(100_000));
  const all = writer.flushed();
  for (let count = 0; count < 4; count += 1) {
    clock.advance(999);
    waiting.shift()?.();
    await turn();
  }
  assert.equal(stalls(), 0);
  clock.advance(1_000);
  assert.ok(await isSettled(all));
  assert.ok(stalls() > 0);
});
