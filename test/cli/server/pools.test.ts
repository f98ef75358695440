import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../clients/typescript/clock.ts";
import { startFakeServer } from "../../clients/typescript/fake-server.ts";
import { openGate } from "../../rpc/gate.ts";
import { makePlace } from "../../server/place.ts";
import { turn } from "../../support/fake-clock.ts";
import { until } from "../../support/until.ts";
import { runHere } from "../here.ts";
import { runAtTerminal, withoutTerminal } from "../pseudo-terminal.ts";
import { mainFile, outputOf } from "../run.ts";

const permissionDenied = 7;

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
  const before = /^pool cpu was already paused by ops at \d{4}-.*: 0 running, 1 queued$/;
  assert.match(outputOf(await millpond("pools", "pause", "cpu")), before);
  assert.match(outputOf(await millpond("explain", id)), /^cause +paused$/m);
  assert.match(outputOf(await millpond("stats")), /^cpu .* paused /m);
  const [, port = ""] = /:(\d+)$/.exec(server.serving.http) ?? [];
  assert.match(outputOf(await millpond("health", "--http-port", port)), /^SERVING\npool cpu is paused by ops since 2/);
  const [row] = JSON.parse(outputOf(await millpond("pools", "list", "--json")));
  assert.deepEqual([row.pool, row.pause.by], ["cpu", "ops"]);
  assert.match(outputOf(await millpond("pools", "resume", "cpu")), /^pool cpu is resumed; .* by ops at .*: \d queued$/);
  assert.equal(outputOf(await millpond("pools", "resume", "cpu")).split(":")[0], "pool cpu was not paused");
  await until(async () => (await millpond("job", id)).stdout.includes("SUCCEEDED"));
  assert.match((await millpond("pools", "pause", "cpy")).stderr, /no pool is named "cpy".* did you mean "cpu"\?/);
  const resize = async (...args: string[]) => outputOf(await millpond("pools", "resize", "cpu", ...args));
  assert.equal(await resize("--max", "3"), "pool cpu has 0-3 workers, before 0-1; the configuration has 0-1");
  assert.equal(await resize("--max", "3"), "pool cpu has 0-3 workers as before; the configuration has 0-1");
  assert.match(outputOf(await millpond("pools", "list")), /^cpu .* open; resized by ops at .*, configured 0-1$/m);
  assert.equal(await resize("--reset"), "pool cpu has 0-1 worker, before 0-3, as configured");
  const advice = outputOf(await millpond("pools", "--advise"));
  assert.match(advice, /^cpu: work cpu, min 0, max 1, concurrency 1\n {2}measured for .*\n {2}too little is known: /);
  const { stderr } = await server.signal("SIGTERM");
  assert.match(stderr, /"pool":"cpu","by":"ops","since":"2.*the pool is paused: its jobs wait/);
});

test("pools pause --wait ends with 1 and the jobs that still run, however short the wait, and with 0 once none does", async (t) => {
  const place = await makePlace(t);
  const { serving } = await place.start();
  const gate = await openGate();
  t.after(gate.close);
  const millpond = (...args: string[]) => runHere(args, { env: { MILLPOND_ADDRESS: serving.grpc } });
  outputOf(await millpond("submit", "gate", "--json", JSON.stringify({ port: gate.port })));
  const attempt = await gate.next();
  for (const wait of ["0s", "1ms", "300ms"]) {
    const { code, stdout } = await millpond("pools", "pause", "held", "--wait", wait);
    assert.deepEqual([code, /: (.*)\n$/.exec(stdout)?.[1]?.split(": ").at(-1)], [1, "1 running, 0 queued"], wait);
  }
  const idle = millpond("pools", "pause", "held", "--wait", "1m");
  attempt.pass();
  assert.match(outputOf(await idle), /: 0 running, 0 queued$/);
});

test("a server with less memory than its pools were resized for starts all the same, and says what fits", async (t) => {
  const place = await makePlace(t);
  let server = await place.start();
  const millpond = (...args: string[]) => runHere(args, { env: { MILLPOND_ADDRESS: server.serving.grpc } });
  outputOf(await millpond("pools", "resize", "held", "--min", "2"));
  await server.signal("SIGKILL");
  server = await place.start(["--autoscale-memory-mib", "64", "--log-level", "warn"]);
  assert.match(outputOf(await millpond("pools", "list")), /^held +0 +0 +0 +0 +2 .*; resized by /m);
  outputOf(await millpond("pools", "resize", "held", "--reset"));
  const { stderr } = await server.signal("SIGTERM");
  assert.match(stderr, /"pool":"held","min":2,"fits":0,.*the pool keeps fewer workers than it was resized to/);
});

test("pools list --watch says that the server does not answer, and goes on when it is back", {
  skip: withoutTerminal,
}, async (t) => {
  const server = await startFakeServer();
  t.after(() => server.stop());
  const run = runAtTerminal([mainFile, "pools", "list", "--watch", "--interval", "100", "--address", server.address]);
  t.after(() => run.ended);
  const listed = await run.wrote(/POOL +WORKERS/);
  const silent = await run.wrote(/no answer since \d{4}-.*: reconnecting/, listed);
  await server.restart();
  await run.wrote(/POOL +WORKERS/, silent);
  run.signal("SIGINT");
  assert.equal(await run.ended, 130);
});

test("pools list --watch goes on after hours of silence, longer than other streams of the client", async (t) => {
  const server = await startFakeServer();
  t.after(() => server.stop());
  const anHourMs = 3_600_000;
  let passedMs = 0;
  let tries = 0;
  t.mock.method(systemClock, "now", () => Date.now() + passedMs);
  t.mock.method(systemClock, "sleep", async () => {
    passedMs += anHourMs;
    tries += 1;
    await turn();
  });
  const ended = runHere(["pools", "list", "--watch", "--address", server.address]);
  const unlessEnded = (isDone: () => boolean) =>
    Promise.race([until(isDone), ended.then(({ stderr }) => assert.fail(`it ended: ${stderr}`))]);
  await unlessEnded(() => server.intervals.length === 1);
  server.stop();
  await unlessEnded(() => tries >= 3);
  await server.restart();
  await unlessEnded(() => server.intervals.length === 2);
  server.cut(permissionDenied); // nothing else ends it
  const { code, stdout } = await ended;
  assert.deepEqual([code, stdout.match(/^POOL /gm)?.length], [1, 2]);
});

test("pools --watch and pools --advise stand for pools list --watch and pools advise", async () => {
  for (const [short, name] of [
    ["--watch", "list"],
    ["--advise", "advise"],
  ] as const)
    assert.match(outputOf(await runHere(["pools", short, "--help"])), new RegExp(`^Usage: millpond pools ${name} `));
});

test("pools resize refuses bounds that cross those in force, or exceed memory, by the names of its flags", async (t) => {
  const place = await makePlace(t);
  const { serving } = await place.start(["--autoscale-memory-mib", "2000"]);
  const resize = (...bounds: string[]) =>
    runHere(["pools", "resize", "held", ...bounds], { env: { MILLPOND_ADDRESS: serving.grpc } });
  const crossing = await resize("--min", "9");
  assert.match(crossing.stderr, /^millpond: --min is 9 and must be 0 to --max, which is 2/);
  outputOf(await resize("--min", "2"));
  assert.match((await resize("--max", "1")).stderr, /^millpond: --max is 1 and must be at least --min, which is 2/);
  assert.match((await resize("--min", "900")).stderr, /^millpond: --min is 900 and must be 0 to \d+: the minima of /);
  assert.equal(crossing.code, 2);
});

test("pools resize refuses bounds that cross as a mistake in the command line, by the names of its flags", async () => {
  const { code, stderr } = await runHere(["pools", "resize", "cpu", "--min", "3", "--max", "2"]);
  assert.equal(code, 2);
  assert.match(stderr, /^millpond: --min is 3 and --max is 2: --min must be at most --max/);
});
