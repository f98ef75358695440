import assert from "node:assert/strict";
import { test } from "node:test";
import { makePlace } from "../../server/place.ts";
import { until } from "../../support/until.ts";
import { runHere } from "../here.ts";
import { outputOf } from "../run.ts";

test("pools pause keeps jobs of a pool waiting, over kill -9 too, until pools resume", async (t) => {
  const place = await makePlace(t);
  let server = await place.start(["--log-level", "warn"]);
  const millpond = (...args: string[]) =>
    runHere(args, { env: { MILLPOND_ADDRESS: server.serving.grpc, MILLPOND_CLIENT: "ops" } });
  assert.equal(outputOf(await millpond("pools", "pause", "cpu", "--wait")), "pool cpu is paused: 0 running, 0 queued");
  const id = outputOf(await millpond("submit", "echo", "--json", "1"));
  await server.signal("SIGKILL");
  server = await place.start(["--log-level", "warn"]);
  assert.match(outputOf(await millpond("pools", "list")), /^cpu .* 1 .* paused by ops at \d{4}-/m);
  const before = /^pool cpu was paused before, by ops at \d{4}-.*: 0 running, 1 queued$/;
  assert.match(outputOf(await millpond("pools", "pause", "cpu")), before);
  assert.match(outputOf(await millpond("explain", id)), /^cause +paused$/m);
  assert.match(outputOf(await millpond("stats")), /^cpu .* paused /m);
  const [, port = ""] = /:(\d+)$/.exec(server.serving.http) ?? [];
  assert.match(outputOf(await millpond("health", "--http-port", port)), /^SERVING\npool cpu is paused by ops since 2/);
  const [row] = JSON.parse(outputOf(await millpond("pools", "list", "--json")));
  assert.deepEqual([row.pool, row.pause.by], ["cpu", "ops"]);
  assert.match(outputOf(await millpond("pools", "resume", "cpu")), /^pool cpu is resumed, .* by ops at .*: \d queued$/);
  assert.equal(outputOf(await millpond("pools", "resume", "cpu")).split(":")[0], "pool cpu was not paused");
  await until(async () => (await millpond("job", id)).stdout.includes("SUCCEEDED"));
  assert.match((await millpond("pools", "pause", "cpy")).stderr, /no pool is named "cpy".* did you mean "cpu"\?/);
  const resize = async (...args: string[]) => outputOf(await millpond("pools", "resize", "cpu", ...args));
  assert.equal(await resize("--max", "3"), "pool cpu has 1-3 workers, before 1; the configuration has 1");
  assert.equal(await resize("--max", "3"), "pool cpu has 1-3 workers as before; the configuration has 1");
  assert.match(outputOf(await millpond("pools", "list")), /^cpu .* open; resized by ops at .*, configured 1$/m);
  assert.equal(await resize("--reset"), "pool cpu has 1 worker, before 1-3, as configured");
  const advice = outputOf(await millpond("pools", "advise"));
  assert.match(advice, /^cpu: work cpu, min 1, max 1, concurrency 1\n {2}measured for .*\n {2}too little is known: /);
  const { stderr } = await server.signal("SIGTERM");
  assert.match(stderr, /"pool":"cpu","by":"ops","since":"2.*the pool is paused: its jobs wait/);
});
