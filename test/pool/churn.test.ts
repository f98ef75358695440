/** What a pool's threads leave behind in the process when they end. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { Measure } from "./churn.ts";

const script = fileURLToPath(new URL("./churn.ts", import.meta.url));
/** As the launcher starts a server: see docs/operations.md. */
const flag = "--no-memory-pool-share-memory-on-teardown";
/** An hour of a pool that grows and shrinks every five seconds is 720; here as many as the time of a test allows. */
const given = process.env["MILLPOND_TEST_CHURN"];
const cycles = given ?? "30";
const skip = process.platform === "linux" ? false : "only Linux has /proc";

test("a pool that grows and shrinks leaves no memory, descriptors or threads behind", {
  skip,
  timeout: 3_600_000,
}, async () => {
  const child = spawn(process.execPath, [flag, script, cycles], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = (await text(child.stdout)).trimEnd().split("\n");
  const measures = lines.map((line) => JSON.parse(line) as Measure);
  const [first, last] = [measures[0] ?? assert.fail(), measures.at(-1) ?? assert.fail()];
  assert.equal(last.cycle, Number(cycles), lines.join("\n"));
  assert.deepEqual([last.threads, last.descriptors], [first.threads, first.descriptors]);
  // in a short run the allocator still settles
  if (given !== undefined) assert.ok(last.residentMiB <= first.residentMiB * 1.05, lines.join("\n"));
});
