/** How a server ends: asked once, twice, three times, and when its store fails. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { createClient } from "@connectrpc/connect";
import { fileURLToPath } from "node:url";
import { connect, job, type JobInfo, sleep } from "../../../clients/typescript/index.ts";
import { MillpondError, refusal } from "../../../src/errors.ts";
import { HealthCheckResponse_ServingStatus as Status, Health } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { failureText, uncleanStop } from "../../../src/cli/exit.ts";
import { ways } from "../../rpc/fixtures.ts";
import { startMillpond, type TestServer } from "../server.ts";
import { until } from "../../support/until.ts";

const quiet = ["--log-level", "silent"];
/** No worker before there are jobs: threads are most of what a server's start costs. */
const upToOne = { workers: { min: 0, max: 1 } };
/** Has the task `spin`, which does not stop when it is told to, and one of a pool of its own. */
const tasks = [
  ...["--tasks-dir", fileURLToPath(new URL("../../server/tasks/", import.meta.url))],
  ...["--pools", JSON.stringify({ cpu: upToOne, io: upToOne, held: { work: "io", ...upToOne } })],
];

const clientOf = ({ serving }: TestServer) => connect({ address: serving.grpc, client: "a", retries: 0 });

/** Submits a job that sleeps, and waits until it runs, or has run already on a busy machine. Not by commands: on a busy machine they would come too late. */
async function sleepFor(server: TestServer, durationMs: number): Promise<string> {
  await using client = clientOf(server);
  const id = await client.submit(sleep, { durationMs });
  await until(async () => (await client.getJob(id)).state !== "QUEUED");
  return id;
}

/** Starts a server on the same folder, which is not removed in between, and shows a job of it. */
async function jobAfterwards(server: TestServer, id: string, dispose: (next: TestServer) => void): Promise<JobInfo> {
  const next = await startMillpond([...quiet, "--data-dir", server.folder]);
  dispose(next);
  await using client = clientOf(next);
  return await client.getJob(id);
}

const eventsOf = (stdout: string) => stdout.split("\n").map((line) => JSON.parse(line) as object);

suite("signals to a server", () => {
  // SIGHUP is what a terminal sends that is closed
  for (const signal of ["SIGINT", "SIGHUP"] as const) {
    test(`the first, ${signal}, lets running jobs finish, and it ends with 0`, async (t) => {
      const server = await startMillpond([...quiet, ...tasks, "--store", "memory"]);
      t.after(() => server.dispose());
      await using client = clientOf(server);
      const path = join(server.folder, "let-go");
      const running = client.run("spin", { path });
      await until(() => existsSync(`${path}.begun`));
      void server.signal(signal);
      await server.said("stopping");
      await writeFile(path, "");

      assert.equal((await running).state, "SUCCEEDED");
      const { code, stdout } = await server.ended;
      assert.equal(code, 0);
      assert.deepEqual(eventsOf(stdout), [{ event: "stopping", signal }, { event: "stopped" }]);
    });
  }

  test("the second hands back what runs without counting its attempt, and it ends with 0", async (t) => {
    const server = await startMillpond(quiet);
    t.after(() => server.dispose());
    const id = await sleepFor(server, 3_600_000);
    void server.signal("SIGTERM");
    await server.said("stopping");
    const { code, stdout } = await server.signal("SIGINT");

    assert.equal(code, 0);
    assert.deepEqual(eventsOf(stdout), [
      { event: "stopping", signal: "SIGTERM" },
      { event: "forcing", signal: "SIGINT" },
      { event: "stopped" },
    ]);
    const found = await jobAfterwards(server, id, (next) => t.after(() => next.dispose()));
    assert.equal(found.attempts, 1, "the attempt that was handed back is the one that runs now");
    assert.deepEqual(found.history, []);
  });

  for (const [signal, exitCode] of [
    ["SIGHUP", 129],
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    test(`the third ends it at once, ${signal} with ${exitCode}`, async (t) => {
      const server = await startMillpond([...quiet, ...tasks, "--grace-ms", "600000", "--store", "memory"]);
      t.after(() => server.dispose());
      await using client = clientOf(server);
      const path = join(server.folder, "let-go");
      await client.submit("spin", { path });
      await until(() => existsSync(`${path}.begun`));
      void server.signal(signal);
      await server.said("stopping");
      void server.signal(signal);
      await server.said("forcing");
      const { code, stdout } = await server.signal(signal);

      assert.equal(code, exitCode);
      assert.deepEqual(eventsOf(stdout).at(-1), { event: "ended", signal, exitCode });
    });
  }
});

suite("a server whose store fails", () => {
  /** Resolves with how long it took to end. */
  async function endOfServer(t: TestContext): Promise<number> {
    // no file may grow beyond 1 MiB: what a full disk does to the store
    const server = await startMillpond(["--log-level", "info", ...tasks], { before: "ulimit -f 2048" });
    t.after(() => server.dispose());
    await using client = clientOf(server);
    const path = join(server.folder, "let-go");
    await client.submitAll([job("spin", { path }), job(sleep, { durationMs: 3_600_000 })]); // nobody waits for them
    await until(() => existsSync(`${path}.begun`));
    const health = createClient(Health, ways.grpc.transport({ grpcAddress: server.serving.grpc, httpAddress: "" }));
    const statuses = health.watch({})[Symbol.asyncIterator]();
    assert.equal((await statuses.next()).value?.status, Status.SERVING);
    const input = "x".repeat(900_000);
    const submitting = (async () => {
      for (let count = 0; count < 20; count++) await client.submit("echo", input);
    })();
    await assert.rejects(submitting, { codeName: "UNAVAILABLE" });
    const failedAt = performance.now();
    const last = (await statuses.next()).value?.status; // it was sent before the process ended
    const { code, stderr } = await server.ended;
    const tookMs = performance.now() - failedAt;

    assert.equal(last, Status.NOT_SERVING);
    assert.equal(code, 70);
    assert.match(
      stderr.trimEnd().split("\n").at(-1) ?? "",
      /^millpond: the store failed .*; make sure that \S+millpond\.sqlite can be written and its disk/,
    );
    t.diagnostic(`ended ${Math.round(tookMs)} ms after the failure`);
    return tookMs;
  }

  test("ends within two seconds with exit code 70, and its last line says what to do", async (t) => {
    // what else the machine does can only make it slower: one server in time shows that they are
    let tookMs = Number.POSITIVE_INFINITY;
    for (let tried = 0; tried < 5 && tookMs >= 2_000; tried += 1) tookMs = await endOfServer(t);
    assert.ok(tookMs < 2_000, `it took ${Math.round(tookMs)} ms`);
  });

  test("tells a failure of the store from one that should not happen, always in one line", () => {
    const failure = refusal("store_failed", ["disk I/O error"]);
    assert.ok(failure instanceof MillpondError);
    assert.match(failureText("/data/x.sqlite", failure), /disk I\/O error.*\/data\/x\.sqlite can be written/);
    assert.equal(
      failureText("/data/x.sqlite", new Error("no\nsuch thing")),
      "the server failed and has ended: no such thing; this should not happen: see its log, then start it again",
    );
    const parts = [new Error("could not stop pool cpu", { cause: new Error("stuck") }), new Error("x")];
    assert.equal(uncleanStop(new AggregateError(parts)).message, "could not stop pool cpu (stuck), x");
    assert.equal(uncleanStop(new Error("y")).message, "y");
  });
});
