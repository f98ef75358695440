import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, watch, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { runHere } from "../here.ts";
import { run, start } from "../run.ts";
import { startMillpond } from "../server.ts";

const quiet = ["--log-level", "silent"];

suite("serve", () => {
  test("says in a few lines where it serves, and ends with 0 on SIGTERM", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "millpond-cli-"));
    t.after(() => rm(folder, { recursive: true }));
    const config = join(folder, "own.yaml");
    await writeFile(config, `dataDir: ${folder}\npools: {cpu: {workers: 1}, io: {workers: 2}}\n`);
    const ports = ["--grpc-port", "0", "--http-port", "0"];
    const child = start(["serve", ...ports, "--config", config, ...quiet]);
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
    assert.ok(text.includes(`  config ${config}\n  store  ${folder}/millpond.sqlite\n`), text);
    assert.match(
      text,
      /^ {2}pools {2}cpu \(1 worker\), io \(2 workers\)\n {2}tasks {2}[a-z., ]*echo, [a-z., ]*fail, image\.resize, sleep$/m,
    );
    assert.match(text, /\nSIGTERM: finishing running jobs, for 30\.0 s at most; repeat to stop them now\nstopped\n$/);
    assert.equal(await exited, 0);
  });

  test("what it says and what it logs stand in the order in which they happened", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "millpond-cli-"));
    t.after(() => rm(folder, { recursive: true }));
    const output = join(folder, "output");
    const args = ["serve", "--grpc-port", "0", "--http-port", "0", "--store", "memory"];
    // both streams into one file, as a terminal shows them
    const child = start(args, { env: { MILLPOND_SERVICE_PORT: "7717" }, before: `exec > ${output} 2>&1` });
    t.after(() => child.kill("SIGKILL"));
    const exited = once(child, "close");
    for await (const _ of watch(folder)) if (/ {2}stop {3}/.test(await readFile(output, "utf8"))) break;
    child.kill("SIGTERM");
    await exited;

    const text = (await readFile(output, "utf8")).replace(/^ {2}.*\n/gm, "").replace(/^millpond .*/m, "serving");
    const events = text.trimEnd().split("\n");
    assert.deepEqual(
      events.map((line) => (line.startsWith("{") ? (JSON.parse(line) as { msg: string }).msg : line.split(":")[0])),
      [
        "ignored variables of Kubernetes Services, which are not settings",
        "serving",
        "SIGTERM",
        "draining: no more jobs are accepted or started",
        "stopped",
        "stopped",
      ],
    );
    assert.equal(events.at(-1), "stopped", "the line of the log comes first");
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

  test("lines of JSON and spans on the same standard output exclude each other", async () => {
    for (const name of ["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"]) {
      const { code, stderr } = await runHere(["serve", "--json"], { env: { [name]: "otlp, Console" } });
      assert.equal(code, 2);
      assert.match(stderr, new RegExp(`--json and ${name}=console both write to standard output: keep one of them`));
    }
  });

  test("wrong settings of a task and a wrong tasks folder are told with their names", async () => {
    const ports = ["--grpc-port", "0", "--http-port", "0", "--store", "memory", ...quiet];
    const settings = await run(["serve", ...ports, "--tasks", "{nosuch: {}}"]);
    assert.equal(settings.code, 2);
    assert.match(settings.stderr, /^millpond: .*\n.*nosuch/);
    const folder = await run(["serve", ...ports, "--tasks-dir", "/nonexistent/tasks"]);
    assert.ok(folder.code === 1 || folder.code === 2);
    assert.match(folder.stderr, /^millpond: .*\/nonexistent\/tasks.*: name one with --tasks-dir$/m);
    assert.doesNotMatch(folder.stderr, /\n\s+at /);
  });
});
