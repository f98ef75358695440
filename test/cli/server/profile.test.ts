/** What whoever runs the server can ask of it while it runs: other lines in its log, and profiles. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { until } from "../../support/until.ts";
import { runHere } from "../here.ts";
import { outputOf } from "../run.ts";
import { startMillpond } from "../server.ts";

const small = ["--pools", "{cpu: {workers: 1}, io: {workers: 1}}"];
/** A job for each pool: a thread that is still starting may be too late for a profile. */
const jobs = [["echo"], ["sleep", "--json", '{"durationMs": 1}']];

suite("while a server runs", { concurrency: 2 }, () => {
  test("SIGUSR2 takes a CPU profile of all threads, which a stop cuts short and does not lose", {
    skip: process.platform === "win32",
  }, async (t) => {
    const server = await startMillpond(small);
    t.after(() => server.dispose());
    for (const job of jobs) {
      outputOf(await runHere(["run", ...job], { env: { MILLPOND_ADDRESS: server.serving.grpc } }));
    }
    void server.signal("SIGUSR2");
    const folder = join(server.folder, "profiles");
    const texts = (stderr: string) =>
      stderr
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { msg: string });
    await until(() => existsSync(folder) && readdirSync(folder).length === 1);
    const { code, stderr } = await server.signal("SIGTERM");

    assert.equal(code, 0);
    const told = texts(stderr).map(({ msg }) => msg);
    for (const text of ["a CPU profile is being taken", "the profile is written"])
      assert.ok(told.includes(text), stderr);
    const files = readdirSync(join(folder, readdirSync(folder)[0] as string));
    assert.equal(files.filter((name) => /^(cpu|io)-\d+\.cpuprofile$/.test(name)).length, 2, files.join());
    for (const name of ["main", "store"]) assert.ok(files.includes(`${name}.cpuprofile`), files.join());
  });

  test("millpond profile prints the files, and log-level the levels", async (t) => {
    const server = await startMillpond([...small, "--log-level", "warn"]);
    t.after(() => server.dispose());
    const millpond = (...args: string[]) => runHere(args, { env: { MILLPOND_ADDRESS: server.serving.grpc } });

    assert.equal(outputOf(await millpond("log-level", "debug", "--for", "10m")), "log level: debug, previously warn");
    for (const job of jobs) outputOf(await millpond("run", ...job));
    const configured = await millpond("log-level", "configured", "--json");
    assert.deepEqual(JSON.parse(outputOf(configured)), { level: "warn", previous: "debug" });
    const [line = ""] = outputOf(await millpond("profile", "--thread", "main", "--for", "1s")).split("\n");
    const path = line.split("  ")[0] as string;
    assert.ok(Array.isArray((JSON.parse(readFileSync(path, "utf8")) as { nodes: unknown }).nodes));
    for (const thread of ["cpu", "io", "store"]) {
      const heap = outputOf(await millpond("profile", "--heap", "--thread", thread, "--json"));
      const { profiles } = JSON.parse(heap) as { profiles: { path: string; thread: string }[] };
      assert.match(profiles.map(({ path }) => path).join(), new RegExp(`^[^,]*/${thread}(-\\d+)?\\.heapsnapshot$`));
    }
    const unknown = await millpond("profile", "--thread", "gpu");
    assert.deepEqual([unknown.code, unknown.stdout], [2, ""]);
    assert.match(unknown.stderr, /--thread is "gpu" and must be one of main, store, cpu, io, or empty for all threads/);
  });
});
