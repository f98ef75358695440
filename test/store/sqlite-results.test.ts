/** What reading results costs the thread of the store that all clients share. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { open, useFolder } from "./damaged-store.ts";
import { data, finish, newJobs } from "./sample.ts";

useFolder();

const counter = "/proc/self/io";
const bytesRead = () => Number(/rchar: (\d+)/.exec(readFileSync(counter, "utf8"))![1]);
const skip = existsSync(counter) ? false : `${counter} is Linux's`;

test("a call reads no more results than it delivers, and one", { skip }, async () => {
  const store = await open();
  const outputBytes = 256 * 1024;
  await finish(store, newJobs(32), { output: data(outputBytes) });
  await store.close();
  const again = await open(); // with an empty page cache
  await again.counts();
  const before = bytesRead();
  const { results } = await again.results({
    client: "ada",
    channel: "default",
    afterCursor: 0,
    limit: 256,
    maxBytes: 1,
  });
  assert.equal(results.length, 1);
  assert.ok(bytesRead() - before < 4 * outputBytes, `${bytesRead() - before} bytes were read`);
  await again.close();
});
