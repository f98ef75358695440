/**
 * The real grpcurl against a server, without any proto file. Slow, as it builds grpcurl: `npm test` leaves it out and
 * .ci/run has it as a step. Without Go it is skipped by name.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { startMillpond, type TestServer } from "../cli/server.ts";

const grpcurlModule = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4";
const has = (command: string) => spawnSync(command, ["version"]).error === undefined;
const skip = !has("go") && "go not installed";

/** Runs a command that must succeed; when it does not, what it printed is in the error. */
function run(file: string, args: readonly string[], { env = {}, input = "" } = {}): string {
  const ended = spawnSync(file, args, { env: { ...process.env, ...env }, input, encoding: "utf8" });
  const { status, stdout, stderr, error } = ended;
  assert.equal(status, 0, `${file} ${args.join(" ")}\n${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`);
  return stdout;
}

suite("a stock grpcurl, without any proto file,", { skip }, () => {
  let folder: string;
  let server: TestServer;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "millpond-grpcurl-"));
    run("go", ["install", grpcurlModule], { env: { GOBIN: folder, GOFLAGS: "" } });
    const tasks = join(folder, "tasks");
    await mkdir(tasks);
    const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    for (const name of ["mail", "scan"]) {
      await writeFile(
        join(tasks, `${name}.mjs`),
        `import { fileOf, lastOf, messageOf } from ${url("../rpc/reflection/described.ts")};
         import { defineTask } from ${url("../../src/pool/task.ts")};
         const input = messageOf(lastOf([fileOf("input.proto", "${name}", ["Input"])]), "Input");
         export default defineTask({ name: "${name}", pool: "cpu", input, run: ({ text }) => ({ got: text }) });`,
      );
    }
    server = await startMillpond(["--store", "memory", "--log-level", "warn", "--tasks-dir", tasks]);
  });
  after(async () => {
    await server?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  /** Options come before the address, and what to do behind it. */
  const grpcurl = (options: readonly string[], command: readonly string[], input = "") =>
    run(join(folder, "grpcurl"), ["-plaintext", ...options, server.serving.grpc, ...command], { input });
  const describe = (symbol: string) => grpcurl([], ["describe", symbol]);
  const call = (method: string, request: unknown) =>
    JSON.parse(grpcurl(["-d", JSON.stringify(request)], [`millpond.v1.WorkerPoolService/${method}`]));

  test("lists services and their methods", () => {
    const services = grpcurl([], ["list"]).trim().split("\n");
    assert.deepEqual(services, [
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "millpond.v1.AdminService",
      "millpond.v1.WorkerPoolService",
    ]);
    assert.match(
      grpcurl([], ["list", "millpond.v1.WorkerPoolService"]),
      /^millpond\.v1\.WorkerPoolService\.Exchange$/m,
    );
  });

  test("describes all services, a method, a message with all it needs, and tasks' own types", () => {
    assert.match(grpcurl([], ["describe"]), /rpc Submit \( \.millpond\.v1\.SubmitRequest \)/);
    assert.match(describe("millpond.v1.WorkerPoolService"), /rpc Exchange \( stream /);
    assert.match(describe("millpond.v1.WorkerPoolService.Run"), /is a method:\nrpc Run \( /);
    assert.match(describe("millpond.v1.JobSpec"), /map<string, string> labels/);
    assert.match(describe("millpond.v1.JobState"), /JOB_STATE_DEAD/);
    assert.match(describe("millpond.tasks.v1.ImageResizeInput"), /uint32 width/);
    for (const name of ["mail", "scan"]) assert.match(describe(`${name}.Input`), /string text = 1;/);
  });

  test("saves every file in one set that fits together", () => {
    const path = join(folder, "all.bin");
    grpcurl(["-protoset-out", path], ["describe"]);
    const offline = run(join(folder, "grpcurl"), ["-protoset", path, "describe", "millpond.v1.WorkerPoolService.Run"]);
    assert.match(offline, /rpc Run \( /);
  });

  test("submits, runs, and shows figures", () => {
    const { receipts } = call("Submit", { jobs: [{ task: "echo", input: { json: { a: 1 } } }] });
    assert.match(receipts[0].jobId, /^[0-9a-f-]{36}$/);
    const message = { "@type": "type.googleapis.com/scan.Input", text: "hello" };
    const { result } = call("Run", { job: { task: "scan", input: { message } } });
    assert.deepEqual([result.state, result.output.json], ["JOB_STATE_SUCCEEDED", { got: "hello" }]);
    const { snapshot } = call("Stats", {});
    assert.ok(snapshot.pools.some(({ pool }: { pool: string }) => pool === "cpu"));
  });

  test("reads requests of a stream from its input, and prints each response", () => {
    const requests = [
      { open: { channel: "stream" } },
      { submit: { seq: 1, jobs: [{ task: "echo", input: { json: "x" }, channel: "stream" }] } },
    ];
    const input = requests.map((request) => JSON.stringify(request)).join("\n");
    const said = grpcurl(["-d", "@"], ["millpond.v1.WorkerPoolService/Exchange"], input);
    for (const part of [/"opened"/, /"accepted"/, /"results"/]) assert.match(said, part);
  });

  test("asks for health as probes do, and shows what an error carries", () => {
    for (const service of ["", "liveness", "readiness", "millpond.v1.WorkerPoolService"]) {
      const answer = grpcurl(["-d", JSON.stringify({ service })], ["grpc.health.v1.Health/Check"]);
      assert.deepEqual(JSON.parse(answer), { status: "SERVING" }, service);
    }
    const args = ["-plaintext", "-d", '{"jobs": [{"task": "nope"}]}', server.serving.grpc];
    const { status, stderr } = spawnSync(join(folder, "grpcurl"), [...args, "millpond.v1.WorkerPoolService/Submit"], {
      encoding: "utf8",
    });
    assert.notEqual(status, 0);
    assert.match(stderr, /Code: NotFound[^]*no task is named "nope"[^]*"reason": "unknown_task"/);
  });
});
