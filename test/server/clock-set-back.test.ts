/** A machine's clock that was set back while the server was down: nothing that is stored waits for longer. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "../../clients/typescript/index.ts";
import { openGate } from "../rpc/gate.ts";
import { makePlace } from "./place.ts";

const dayMs = 24 * 3_600_000;
const movesClock = `--import ${new URL("../nemesis/stage/moved-clock.mjs", import.meta.url).href}`;

test("jobs that waited when the clock was set back by a day between two starts run on time", {
  timeout: 60_000,
}, async (t) => {
  const gate = await openGate();
  t.after(gate.close);
  const { folder, start } = await makePlace(t);
  const offset = join(folder, "offset");
  const startAt = async (offsetMs: number) => {
    await writeFile(offset, String(offsetMs));
    const server = await start(["--log-level", "warn"], { NEMESIS_CLOCK: offset, NODE_OPTIONS: movesClock });
    const client = connect({ address: server.serving.grpc, client: "ada" });
    t.after(client.close);
    return { server, client };
  };
  const first = await startAt(0);
  const delayMs = 3_000;
  const submit = (options = {}) => first.client.submit("gate", { port: gate.port }, options);
  const running = [await submit(), await submit()]; // all workers of the pool
  await Promise.all([gate.next(), gate.next()]);
  const submittedMs = performance.now();
  const waiting = await submit();
  const delayed = await submit({ delayMs });
  await first.server.signal("SIGKILL");

  const { server, client } = await startAt(-dayMs);

  const left = new Set([...running, waiting, delayed]);
  while (left.size > 0) {
    const attempt = await gate.next();
    left.delete(attempt.jobId);
    if (attempt.jobId === delayed) assert.ok(performance.now() - submittedMs >= delayMs, "it is not early either");
    attempt.pass();
  }
  const { submittedAt, startedAt } = await client.getJob(waiting);
  assert.ok(submittedAt && startedAt && startedAt >= submittedAt, "times go on where they were");
  const { stderr } = await server.signal("SIGTERM");
  assert.match(stderr, /"aheadMs":86\d{6},.*behind the latest time in the store/);
});
