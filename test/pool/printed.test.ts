import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { boundOutput } from "../../src/pool/printed.ts";

/** A stream that writes nothing until it is let go. */
function stuck() {
  const written: string[] = [];
  let go = (): void => {};
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk.toString());
      go = done;
    },
  });
  return { stream, written, go: () => go() };
}

test("output that nobody reads is held to a bound, however much is printed, and what was dropped is counted", async () => {
  const { stream, written, go } = stuck();
  boundOutput(stream, 1_000);
  for (let line = 0; line < 1_000; line += 1) stream.write("x".repeat(100));
  assert.equal(stream.writableLength, 1_000);

  while (stream.writableLength > 0) {
    go();
    await new Promise(setImmediate);
  }
  stream.write("next\n");
  go();
  await new Promise(setImmediate);
  assert.equal(written.filter((text) => text.startsWith("x")).length, 10);
  assert.deepEqual(written.slice(10), [
    "(990 writes to this output were dropped: more than 1000 bytes waited to be read)\n",
    "next\n",
  ]);
});

test("whoever waits for a write that was dropped goes on", async () => {
  const { stream } = stuck();
  boundOutput(stream, 10);
  stream.write("0123456789");
  await new Promise((resolve) => stream.write("more", resolve));
});
