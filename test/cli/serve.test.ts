import assert from "node:assert/strict";
import { rm, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { connect, sleep } from "../../clients/typescript/index.ts";
import { run, start } from "./run.ts";
import { startMillpond } from "./server.ts";

const quiet = ["--log-level", "silent"];

const sleepFor = async (server: Awaited<ReturnType<typeof startMillpond>>, durationMs: number) => {
  // not through the command line: on a busy machine the job would be over before a second process has asked for it
  await using client = connect({ address: server.serving.grpc, client: "a" });
  const id = await client.submit(sleep, { durationMs });
  for (let state = ""; state !== "RUNNING"; ) ({ state } = await client.getJob(id));
  return id;
};

suite("serve", () => {
  test("says in a few lines where it serves, and ends with 0 on SIGTERM", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "millpond-cli-"));
    t.after(() => rm(folder, { recursive: true }));
    const ports = ["--grpc-port", "0", "--http-port", "0"];
    const child = start([
      "serve",
      ...ports,
      "--data-dir",
      folder,
      "--pools",
      "{cpu: {workers: 1}, io: {workers: 2}}",
      ...quiet,
    ]);
    t.after(() => child.kill("SIGKILL"));
    const exited = new Promise((resolve) => child.on("close", resolve));
    let text = "";
    for await (const chunk of child.stdout.setEncoding("utf8")) {
      if (!text.includes("tasks") && (text += chunk).includes("tasks")) child.kill("SIGTERM");
      else text += text.endsWith(chunk) ? "" : chunk;
    }

    assert.match(
      text,
      /^millpond \d+\.\d+\.\d+ is serving\n {2}gRPC {3}127\.0\.0\.1:\d+\n {2}HTTP {3}http:\/\/127\.0\.0\.1:\d+\n/,
    );
    assert.ok(text.includes(`  store  ${folder}/millpond.sqlite\n`), text);
    assert.match(
      text,
      /^ {2}pools {2}cpu \(1 worker\), io \(2 workers\)\n {2}tasks {2}echo, fail, image\.resize, sleep$/m,
    );
    assert.match(text, /\nSIGTERM: finishing what runs; once more to end at once\nstopped\n$/);
    assert.equal(await exited, 0);
  });

  test("finishes what runs before it ends, and says so in JSON", async (t) => {
    const server = await startMillpond(quiet);
    t.after(() => server.dispose());
    const id = await sleepFor(server, 1_500);
    const { code, stdout } = await server.signal("SIGINT");

    assert.equal(code, 0);
    assert.deepEqual(
      stdout.split("\n").map((line) => JSON.parse(line)),
      [{ event: "stopping", signal: "SIGINT" }, { event: "stopped" }],
    );
    const again = await startMillpond([...quiet, "--data-dir", server.folder]);
    t.after(() => again.dispose());
    assert.equal(JSON.parse((await again.as("a", ["job", id, "--json"])).stdout).state, "SUCCEEDED");
  });

  for (const [signal, exitCode] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    test(`a second ${signal} ends it at once with ${exitCode}`, async (t) => {
      const server = await startMillpond(quiet);
      t.after(() => server.dispose());
      await sleepFor(server, 60_000);
      void server.signal(signal);
      // the first is being worked on once submits are refused; two signals sent at once could arrive as one
      for (let code: number | null = 0; code === 0; ) ({ code } = await server.as("a", ["submit", "echo"]));

      assert.equal((await server.signal(signal)).code, exitCode);
    });
  }

  test("a failing store ends it with one clear line and exit code 70", async (t) => {
    // no file may grow beyond 1 MiB: what a full disk does to the store
    const server = await startMillpond(quiet, { before: "ulimit -f 2048" });
    t.after(() => server.dispose());
    const input = "x".repeat(900_000);
    let refusal = "";
    for (let count = 0; refusal === "" && count < 20; count++) {
      ({ stderr: refusal } = await server.as("a", ["submit", "echo", "--json-file", "-"], {
        input: JSON.stringify(input),
      }));
    }
    const { code, stderr } = await server.ended;

    assert.match(refusal, /^millpond: [^\n]*\n$/);
    assert.match(stderr, /^millpond: the server failed and stopped: [^\n]+\n$/);
    assert.equal(code, 70);
  });

  test("a port in use is told with the port and the remedy", async (t) => {
    const server = await startMillpond(["--store", "memory", ...quiet]);
    t.after(() => server.dispose());
    const portOf = (address: string) => address.split(":")[1] as string;
    const memory = ["--store", "memory", ...quiet];

    const http = await run(["serve", ...memory, "--grpc-port", "0", "--http-port", portOf(server.serving.http)]);
    assert.equal(http.code, 1);
    assert.match(http.stderr, new RegExp(`^millpond: .*${portOf(server.serving.http)}.*in use.*--http-port\n$`));
    const grpc = await run(["serve", ...memory, "--http-port", "0", "--grpc-port", portOf(server.serving.grpc)]);
    assert.equal(grpc.code, 1);
    assert.match(grpc.stderr, new RegExp(`^millpond: .*${portOf(server.serving.grpc)}.*in use.*--grpc-port\n$`));
  });

  test("a store that another server holds is told, and left alone", async (t) => {
    const server = await startMillpond(quiet);
    t.after(() => server.dispose());
    const second = await run(["serve", ...quiet, "--grpc-port", "0", "--http-port", "0", "--data-dir", server.folder]);

    assert.equal(second.code, 1);
    assert.match(second.stderr, /^millpond: the store .*millpond\.sqlite is in use[^\n]*\n$/);
    assert.equal((await server.as("a", ["submit", "echo"])).code, 0);
  });

  test("wrong settings of a task and a wrong tasks folder are told with their names", async () => {
    const ports = ["--grpc-port", "0", "--http-port", "0", "--store", "memory", ...quiet];
    const settings = await run(["serve", ...ports, "--tasks", "{nosuch: {}}"]);
    assert.equal(settings.code, 2);
    assert.match(settings.stderr, /^millpond: .*\n.*nosuch/);
    const folder = await run(["serve", ...ports, "--tasks-dir", "/nonexistent/tasks"]);
    assert.ok(folder.code === 1 || folder.code === 2);
    assert.match(folder.stderr, /^millpond: .*\/nonexistent\/tasks/);
    assert.doesNotMatch(folder.stderr, /\n\s+at /);
  });
});
