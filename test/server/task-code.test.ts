/** Whatever a file in the tasks folder does, at import or later: the server serves, or says which file stops it, and can be ended. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { setTimeout } from "node:timers/promises";
import { connect } from "../../clients/typescript/index.ts";
import { type Ended, run, start } from "../cli/run.ts";
import { startMillpond, type TestServer } from "../cli/server.ts";

const pools = ["--pools", "{cpu: {workers: 1}, io: {workers: 1}}"];
/** No check of these files takes long, but the machine may be busy. */
const quiet = ["--store", "memory", ...pools, "--task-check-ms", "60000"];
const ports = ["--grpc-port", "0", "--http-port", "0"];

/**
 * Runs in SQLite's own code for ever: nothing but the end of the process ends it. SQLite makes the file `begun` itself, so
 * once that is there the thread is out of reach; code of JavaScript that says so could still be ended just after it did.
 */
const endless = (begun: string) => `import { DatabaseSync } from "node:sqlite";
new DatabaseSync(":memory:").exec(\`VACUUM INTO '${begun}';
  WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c\`);
`;

/** A task whose file does something at import, and something else when its check is asked about "now". */
const task = (
  name: string,
  atImport = "",
  atCheck = "",
) => `import { isMainThread, threadName } from "node:worker_threads";
import { connect } from "node:net";
import { defineTask } from "millpond";
if (isMainThread) process.exit(9);
if (threadName === "millpond-checker") { ${atImport} }
export default defineTask({ name: "${name}", pool: "cpu", check: (input) => check(input), run: () => "ran" });
function check(input) {
  if (input === "now") { ${atCheck} }
  return input === "bad" ? [{ field: "", description: "is bad" }] : [];
}
`;

async function folderWith(t: TestContext, files: { readonly [name: string]: string }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "millpond-code-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

async function serve(t: TestContext, files: { readonly [name: string]: string }): Promise<TestServer> {
  const server = await startMillpond([...quiet, "--tasks-dir", await folderWith(t, files)]);
  t.after(() => server.dispose());
  return server;
}

/** What a server says that does not start. */
async function refused(t: TestContext, text: string, flags: readonly string[] = []): Promise<Ended> {
  return run(["serve", ...quiet, ...ports, "--tasks-dir", await folderWith(t, { "task.mjs": text }), ...flags]);
}

suite("code of task files does not reach the server's thread: jobs are checked and run, and it ends with 0", () => {
  const rows: { readonly [what: string]: readonly [atImport: string, atCheck?: string] } = {
    "a connection without a listener for its errors": ["", `connect(1, "127.0.0.1");`],
    "a timer that throws": ["", `setTimeout(() => { throw new Error("late"); });`],
    "a timer that throws null": ["", `setTimeout(() => { throw null; });`],
    "a timer that ends its thread": ["", `setTimeout(() => process.exit(0));`],
    "a rejection that comes late": ["", `setTimeout(() => void Promise.reject(new Error("late")));`],
    "listeners of signals": [`process.on("SIGTERM", () => {}); process.on("SIGINT", () => {});`],
    "an end of standard output": [`process.stdout.end(); process.stderr.end();`],
    "messages to its parent": [
      `const { parentPort } = await import("node:worker_threads");
       parentPort.postMessage({ kind: "ready" });
       parentPort.on("message", () => {}).close();`,
    ],
    "a listener of all errors": [`process.on("uncaughtException", () => {}).on("unhandledRejection", () => {});`],
    "an exit code and a title": [`process.exitCode = 7; process.title = "mine";`],
  };

  test("whatever they do at import and later", async (t) => {
    const tasks = Object.entries(rows).map(([what, [atImport, atCheck]]) => ({
      ...{ what, atImport, atCheck },
      name: what.replaceAll(" ", "-"),
    }));
    const files = tasks.map(({ name, atImport, atCheck }) => [`${name}.mjs`, task(name, atImport, atCheck)] as const);
    const server = await serve(t, Object.fromEntries(files));
    await using client = connect({ address: server.serving.grpc, client: "a", retries: 0 });
    for (const { name, what } of tasks) {
      assert.equal((await client.run(name, "now")).state, "SUCCEEDED", what);
      await assert.rejects(client.run(name, "bad"), { reason: "invalid_argument" }, what);
      assert.equal((await client.run(name, "good")).state, "SUCCEEDED", what);
    }
    assert.equal((await server.signal("SIGTERM")).code, 0);
  });

  test("also when they replace globals", async (t) => {
    const replaces = `globalThis.setTimeout = globalThis.TextDecoder = undefined; Date.now = () => NaN;`;
    const server = await serve(t, { "task.mjs": task("mine", replaces) });
    await using client = connect({ address: server.serving.grpc, client: "a", retries: 0 });
    assert.equal((await client.run("mine", "good")).state, "SUCCEEDED");
    assert.equal((await server.signal("SIGTERM")).code, 0);
  });

  test("what is ignored in the folder is named in the first lines and in the log", async (t) => {
    const folder = await folderWith(t, { "mine.mjs": task("mine"), "helper.ts": "export const one = 1;" });
    const server = await startMillpond([...quiet, "--tasks-dir", folder, "--log-level", "info"]);
    t.after(() => server.dispose());
    const ignored = [{ path: join(folder, "helper.ts"), why: "it exports no task" }];
    assert.deepEqual((server.serving as unknown as { ignored: unknown }).ignored, ignored);
    const { stderr } = await server.signal("SIGTERM");
    assert.match(stderr, /helper\.ts","why":"it exports no task","msg":"not a task"/);
  });
});

suite("a file that keeps the server from starting is named, and the process ends", { concurrency: 2 }, () => {
  test("by process.exit at import", async (t) => {
    const { code, stderr } = await refused(t, "process.exit(0);");
    assert.equal(code, 2);
    assert.match(stderr, /^millpond: tasks that cannot be served:\n {2}\/.*task\.mjs:1: it called process\.exit\(0\)/);
  });

  test("by native code that never returns", async (t) => {
    const begun = join(await folderWith(t, {}), "begun");
    const { code, stderr } = await refused(t, endless(begun), ["--task-load-ms", "500"]);
    assert.equal(code, 2);
    assert.match(stderr, /task\.mjs: its import takes longer than 500 ms \(taskLoadMs\)/);
  });
});

suite("a third SIGTERM ends the process", () => {
  test("while an import is in native code that never returns", async (t) => {
    const begun = join(await folderWith(t, {}), "begun");
    const folder = await folderWith(t, { "task.mjs": endless(begun) });
    const child = start(["serve", ...quiet, ...ports, "--tasks-dir", folder, "--task-load-ms", "600000"]);
    t.after(() => child.kill("SIGKILL"));
    const ended = once(child, "close");
    child.stdout.resume();
    child.stderr.resume();
    while (child.exitCode === null && !existsSync(begun)) await setTimeout(10);
    for (let count = 0; count < 3; count += 1) child.kill("SIGTERM");
    // signals that come at once may be one: what counts is that they are heard
    const again = setInterval(() => child.kill("SIGTERM"), 200);
    t.after(() => clearInterval(again));
    const [code, signal] = await ended;
    assert.ok(code === 143 || signal === "SIGTERM", `it ended with ${code} ${signal}`); // the last may hit it at its end
  });

  test("while the process exits already, and a thread keeps it from ending", async (t) => {
    const server = await withEndlessThread(
      t,
      `process.once("exit", () => writeSync(1, '{"event": "exiting"}\\n')); process.exit(0);`,
    );
    void server.signal("SIGUSR2");
    await server.said("exiting");
    assert.equal((await server.signal("SIGTERM")).code, null);
  });
});

test("an error that nothing caught ends the process at once, also while a thread would keep it from ending", async (t) => {
  const server = await withEndlessThread(t, `throw new Error("a mistake of Millpond");`);
  const { code, stderr } = await server.signal("SIGUSR2");
  assert.equal(code, 70);
  assert.match(stderr, /\nmillpond: the server failed and has ended: a mistake of Millpond; .*\n$/);
});

/** A server that starts a thread which cannot be ended on SIGUSR2, and then does this in its main thread. */
async function withEndlessThread(t: TestContext, then: string): Promise<TestServer> {
  const begun = join(await folderWith(t, {}), "begun");
  const code = `data:text/javascript,${encodeURIComponent(endless(begun))}`;
  const preload = `import { existsSync, writeSync } from "node:fs";
    import { isMainThread, Worker } from "node:worker_threads";
    const whenBegun = () => { if (!existsSync(${JSON.stringify(begun)})) return setTimeout(whenBegun, 10); ${then} };
    if (isMainThread) process.once("SIGUSR2", () => {
      new Worker(new URL(${JSON.stringify(code)}));
      whenBegun();
    });`;
  const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(preload)}` };
  const server = await startMillpond(quiet, { env });
  t.after(() => server.dispose());
  return server;
}
