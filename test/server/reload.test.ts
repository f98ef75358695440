/** `--watch`: files of tasks change while a real server runs their jobs. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, open, readdir, realpath, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, suite, test, type TestContext } from "node:test";
import { connect, type MillpondClient } from "../../clients/typescript/index.ts";
import { createSignal } from "../../src/lifecycle.ts";
import type { LoadedTasks } from "../../src/pool/tasks.ts";
import { createReloader } from "../../src/server/reload.ts";
import { startMillpond, type TestServer } from "../cli/server.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";
import { until } from "../support/until.ts";

/** Says a word, after reading the pipe that is its input, if there is one. */
const greet = `import { readFile } from "node:fs/promises";
import { defineTask } from "millpond";
import { word } from "./lib/word.ts";
export default defineTask({
  name: "greet", pool: "io",
  async run(pipe) {
    if (pipe === "end its thread") process.exit(1);
    if (pipe) await readFile(pipe);
    return word;
  },
});
`;
const files = {
  "greet.ts": greet,
  "lib/word.ts": 'import { word as inner } from "./inner.cjs";\nexport const word: string = inner;\n',
  "lib/inner.cjs": 'exports.word = require("./word.json").word;\n',
  "lib/word.json": '{ "word": "one" }',
};

const ledger = `import { defineResource } from "millpond";
export const ledger = defineResource({
  name: "ledger",
  setup: () => "open",
  probe() {
    throw new Error("the ledger is away");
  },
});
`;
const bill = `import { defineTask } from "millpond";
import { ledger } from "./lib/ledger.ts";
export default defineTask({ name: "bill", pool: "cpu", resources: { ledger }, run: () => undefined });
`;

suite("serve --watch", () => {
  let folder: string;
  let server: TestServer;
  let client: MillpondClient;
  const counts = { reloaded: 0, faulty: 0 };

  const path = (name: string) => join(folder, "tasks", name);
  /** In one step: of a file that is written in place, the server may find the empty one first. */
  async function write(name: string, text: string): Promise<void> {
    await mkdir(dirname(path(name)), { recursive: true });
    const written = join(folder, "written");
    await writeFile(written, text);
    await rename(written, path(name));
  }
  /** What the server says once the change is made. */
  async function said(event: keyof typeof counts, change: Promise<unknown>) {
    await change;
    counts[event] += 1;
    return server.said(event, counts[event]);
  }
  const greeting = async () => (await client.run("greet", null)).output;
  /** A job that runs until it is let go. */
  async function heldJob(name: string, task = "greet") {
    const pipe = join(folder, name);
    execFileSync("mkfifo", [pipe]);
    const done = client.run(task, pipe);
    const held = await open(pipe, "w"); // which it is once the job has opened it too
    return { done, letGo: () => held.close() };
  }

  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "millpond-watch-")));
    for (const [name, text] of Object.entries(files)) await write(name, text);
    const flags = [
      "--pools",
      "{cpu: {workers: {min: 0, max: 1}}, io: {workers: 1}}",
      "--task-check-ms",
      "60000",
      "--store",
      "memory",
    ];
    server = await startMillpond(["--watch", "--tasks-dir", join(folder, "tasks"), ...flags]);
    client = connect({ address: server.serving.grpc, client: "ada" });
  });
  after(async () => {
    await client?.close();
    await server?.dispose();
    await rm(folder, { recursive: true });
  });

  test("serves a change of an imported file at once; an attempt that runs ends on the code that it began with", async () => {
    const running = await heldJob("running");
    const { changed } = await said("reloaded", write("lib/word.json", '{ "word": "two" }'));
    assert.deepEqual(changed, [path("lib/word.json")]);
    await running.letGo();
    const { output, attempts } = await running.done;
    assert.deepEqual([output, attempts], ["one", 1]);
    assert.equal(await greeting(), "two");
  });

  test("says what is wrong with file and line, and the tasks from before go on, also in new threads", async () => {
    const { why } = await said("faulty", write("lib/word.ts", "export const a = 1;\nexport const word: string = ;\n"));
    assert.match(String(why), /\/tasks\/lib\/word\.ts:2: a syntax error/);
    await write("lib/inner.cjs", "this is no code");
    await rm(path("lib/word.json"));
    assert.equal((await client.run("greet", "end its thread", { retry: { maxAttempts: 1 } })).state, "DEAD");
    assert.equal(await greeting(), "two");

    await write("lib/word.json", '{ "word": "three" }');
    await write("lib/inner.cjs", files["lib/inner.cjs"]);
    await said("reloaded", write("lib/word.ts", files["lib/word.ts"]));
    assert.equal(await greeting(), "three");
  });

  test("lists a task that is added; jobs of one that is removed fail as after a restart without it", async () => {
    const text =
      'import { defineTask } from "millpond";\nexport default defineTask({ name: "extra", pool: "io", run: () => 1 });';
    const { tasks } = await said("reloaded", write("extra.ts", text));
    assert.ok((tasks as string[]).includes("extra"));
    assert.ok((await client.tasks()).some(({ name, pool }) => name === "extra" && pool === "io"));
    assert.equal((await client.run("extra", null)).output, 1);

    const running = await heldJob("occupied");
    const waiting = await client.submit("extra", null);
    await said("reloaded", rm(path("extra.ts")));
    await assert.rejects(client.submit("extra", null), { reason: "unknown_task" });
    await running.letGo();
    await running.done;
    for await (const update of client.watch(waiting)) {
      if (update.kind === "job" && update.job.state === "DEAD")
        assert.equal(update.job.result?.failure?.reason, "unknown_task");
    }
  });

  test("starts a worker that probes for a task that is added and uses what has a probe, though no job comes", async () => {
    const cpu = async () => (await client.stats()).pools.find(({ pool }) => pool === "cpu")?.workers;
    assert.equal(await cpu(), 0);
    await write("lib/ledger.ts", ledger);
    await said("reloaded", write("bill.ts", bill));
    const problems = async () =>
      (await client.stats()).resources.flatMap(({ parts }) => parts.map((part) => part.problem));
    await until(async () => (await problems()).includes("the ledger is away"));
    assert.equal(await cpu(), 1);
    await said("reloaded", rm(path("bill.ts")));
    await until(async () => (await cpu()) === 0);
  });

  test("answers a check that is under way", async () => {
    const text = `import { readFileSync } from "node:fs";
import { defineTask } from "millpond";
const check = (pipe) => void readFileSync(pipe);
export default defineTask({ name: "checked", pool: "io", check, run: () => "ran" });`;
    await said("reloaded", write("checked.mjs", text));
    const submitted = await heldJob("checking", "checked");
    await said("reloaded", write("checked.mjs", text.replace("ran", "ran on new code")));
    await submitted.letGo();
    assert.equal((await submitted.done).output, "ran on new code");
  });

  test("goes on while the folder is away, and follows it when it is back", async () => {
    const isMissing = (why: unknown) => /the tasks folder .* cannot be read/.test(String(why));
    let { why } = await said("faulty", rename(path(""), join(folder, "away")));
    // a load that was under way finds that its files are gone, and the next one that the folder is
    while (!isMissing(why)) ({ why } = await said("faulty", Promise.resolve()));
    assert.equal(await greeting(), "three");
    await writeFile(join(folder, "away", "lib", "word.json"), '{ "word": "four" }');
    await said("reloaded", rename(join(folder, "away"), path("")));
    assert.equal(await greeting(), "four");
    await said("reloaded", write("lib/word.json", '{ "word": "five" }'));
    assert.equal(await greeting(), "five");
  });

  test("can be stopped, after as many reloads", async () => {
    assert.equal((await server.signal("SIGTERM")).code, 0);
  });
});

suite("the watch of the tasks folder", () => {
  const quietMs = 100;
  const longestMs = 2_000;

  /** On an empty folder, of which each load gives what is there. */
  async function watching(t: TestContext, loading: () => Promise<void> = async () => {}) {
    const folder = await realpath(await mkdtemp(join(tmpdir(), "millpond-reload-")));
    const clock = createFakeClock();
    let armed = 0;
    const after = (ms: number, action: () => void) => {
      armed += 1;
      return clock.after(ms, action);
    };
    const loads: string[] = [];
    const ends: string[] = [];
    const reloader = createReloader({
      ...{ folder, sources: new Map(), clock: { ...clock, after }, log: keptLog().log },
      async load() {
        loads.push((await readdir(folder)).join());
        await loading();
        return { tasks: new Map(), stop: async () => void ends.push("stopped") } as unknown as LoadedTasks;
      },
      replace: () => void ends.push("served"),
      onReload: () => {},
    });
    t.after(async () => {
      await reloader.stop();
      await rm(folder, { recursive: true });
    });
    await reloader.start();
    /** Resolves once the watch knows that something has changed. */
    async function change(name: string) {
      const before = armed;
      await writeFile(join(folder, name), "");
      await until(() => armed > before);
    }
    /** Lets time pass until there were so many loads. */
    const loaded = (times: number) =>
      until(() => {
        clock.advance(quietMs);
        return loads.length >= times;
      });
    return { clock, loads, ends, reloader, change, loaded };
  }

  test("loads once what is written together", async (t) => {
    const { clock, loads, ends, change, loaded } = await watching(t);
    for (const name of ["a.ts", "b.ts", "c.ts"]) {
      await change(name);
      clock.advance(quietMs - 1);
    }
    assert.deepEqual(loads, []);
    await loaded(1);
    await until(() => ends.length > 0);
    assert.deepEqual([loads, ends], [["a.ts,b.ts,c.ts"], ["served"]]);
  });

  test("does not wait for the end of changes that go on", async (t) => {
    const { clock, loads, change } = await watching(t);
    for (let ms = 0; ms < longestMs; ms += quietMs - 1) {
      await change(`${ms}.ts`);
      clock.advance(quietMs - 1);
    }
    await until(() => loads.length === 1);
  });

  test("loads again what changed meanwhile", async (t) => {
    const gate = createSignal();
    const { loads, change, loaded } = await watching(t, () => gate.promise);
    await change("a.ts");
    await loaded(1);
    await change("b.ts");
    gate.fire();
    await loaded(2);
    assert.deepEqual(loads, ["a.ts", "a.ts,b.ts"]);
  });

  test("serves nothing any more once it is stopped", async (t) => {
    const gate = createSignal();
    const { ends, reloader, change, loaded } = await watching(t, () => gate.promise);
    await change("a.ts");
    await loaded(1);
    const stopped = reloader.stop();
    gate.fire();
    await stopped;
    assert.deepEqual(ends, ["stopped"]);
  });
});
