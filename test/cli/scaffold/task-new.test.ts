import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { building, dependencyOn, originOf } from "../../../src/cli/scaffold/installation.ts";
import { builtInNames, namesOf } from "../../../src/cli/scaffold/names.ts";
import { generatedFile, generatorFile, protoFile } from "../../../src/cli/scaffold/typed-task.ts";
import { loadHere } from "../../support/samples.ts";
import { enterFolder, runHere } from "../here.ts";
import { outputOf } from "../run.ts";
import { startMillpond } from "../server.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** Runs `task new --json`; what it wrote and what it says to do next. */
async function taskNew(...args: readonly string[]) {
  const printed = outputOf(await runHere(["task", "new", ...args, "--json"]));
  const { files, next } = JSON.parse(printed) as { files: { path: string; isKept: boolean }[]; next: string[] };
  return { paths: files.map(({ path }) => path), next };
}

suite("task new", () => {
  test("new tasks are served, refuse another input at submit, and their results are on screen", async (t) => {
    const folder = enterFolder(t);
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules")); // as npm install would do
    const commands = await Promise.all([taskNew("greet"), taskNew("invoice.total", "--typed")]);
    const tasks = ["--tasks-dir", join(folder, "tasks")];
    const server = await startMillpond(["--store", "memory", "--log-level", "silent", ...tasks]);
    t.after(() => server.dispose());

    const env = { MILLPOND_ADDRESS: server.serving.grpc };
    for (const { next } of commands) {
      const [, task = "", input = ""] = /^npx millpond run (\S+) '(.*)'$/.exec(next.at(-1) ?? "") ?? [];
      assert.equal(outputOf(await runHere(["run", task, input], { env })), '{"greeting":"hello Ada"}');
      for (const [wrong, says] of [
        ['{"name": ""}', /name/],
        ['{"name": 7}', /name/],
        ['{"nam": "Ada"}', /nam/],
      ] as const) {
        const { code, stderr } = await runHere(["run", task, wrong], { env });
        assert.equal(code, 1);
        assert.match(stderr, says);
      }
    }
  });

  for (const [name, says] of [
    ["", "is not 1 to 100 characters of [a-z0-9._-] starting with a letter"],
    ["Greet", "is not 1 to 100 characters"],
    ["7up", "is not 1 to 100 characters"],
    ["../greet", "is not 1 to 100 characters"],
    ["gréet", "is not 1 to 100 characters"],
    ["a".repeat(101), "is not 1 to 100 characters"],
    ["image.resize", "is the name of a built-in task: choose another"],
  ] as const) {
    test(`the name "${name}" is refused, and nothing is written`, async (t) => {
      const folder = enterFolder(t);
      const { code, stderr } = await runHere(["task", "new", name]);
      assert.equal(code, 2);
      assert.ok(stderr.includes(says), stderr);
      assert.deepEqual(readdirSync(folder), []);
    });
  }

  test("a file that is there is never changed: it is named, and nothing is written", async (t) => {
    const folder = enterFolder(t);
    for (const file of ["greet.ts", "greet.test.ts"]) {
      writeFileSync(join(folder, file), "mine");
      const { code, stderr } = await runHere(["task", "new", "greet", "--typed", "--tasks-dir", folder]);
      assert.equal(code, 2);
      assert.match(stderr, new RegExp(`${file} already exists: choose another name, or remove it first`));
      assert.deepEqual(readdirSync(folder), [file]);
      assert.equal(readFileSync(join(folder, file), "utf8"), "mine");
      rmSync(join(folder, file));
    }
  });

  test("what the tasks of a folder share is written once", async (t) => {
    const folder = enterFolder(t);
    await taskNew("one", "--typed");
    writeFileSync(join(folder, "tasks/buf.gen.yaml"), "mine");
    const { paths } = await taskNew("two", "--typed");
    assert.ok(paths.includes("tasks/buf.gen.yaml"));
    assert.equal(readFileSync(join(folder, "tasks/buf.gen.yaml"), "utf8"), "mine");
  });

  test("names with dots make no test and no declaration of a task", async () => {
    assert.equal((await namesOf("load.test")).file, "load-test");
    assert.equal((await namesOf("x.d")).file, "x-d");
  });

  test("it goes into the folder that the configuration names, which needs no flag then", async (t) => {
    const folder = enterFolder(t);
    writeFileSync(join(folder, "millpond.yaml"), "tasksDir: ./jobs");
    const { paths, next } = await taskNew("greet");
    assert.deepEqual(paths, ["jobs/greet.ts", "jobs/greet.test.ts", "jobs/package.json"]);
    assert.ok(next.includes("npx millpond serve --watch"), next.join());
    assert.ok(
      (await taskNew("hail", "--tasks-dir", "tasks")).next.includes("npx millpond serve --watch --tasks-dir tasks"),
    );
  });

  test("a folder with a space is quoted in what to do next", async (t) => {
    enterFolder(t);
    const { next } = await taskNew("greet", "--tasks-dir", "my tasks");
    for (const command of [
      "npm install --prefix 'my tasks'",
      "node --test 'my tasks/greet.test.ts'",
      "npx millpond serve --watch --tasks-dir 'my tasks'",
    ]) {
      assert.ok(next.includes(command), next.join("\n"));
    }
  });

  test("a package.json is written where none says that the files are ES modules", async (t) => {
    const folder = enterFolder(t);
    writeFileSync(join(folder, "package.json"), '{"type": "commonjs"}');
    assert.ok((await taskNew("one")).paths.includes("tasks/package.json"));
    const manifest = JSON.parse(readFileSync(join(folder, "tasks/package.json"), "utf8"));
    assert.equal(manifest.type, "module");

    writeFileSync(join(folder, "package.json"), '{"type": "module"}');
    assert.deepEqual((await taskNew("two", "--tasks-dir", "more")).paths, ["more/two.ts", "more/two.test.ts"]);
  });

  test("it says what is to be installed, and where", async (t) => {
    const folder = enterFolder(t);
    const install = async (name: string, ...args: readonly string[]) =>
      (await taskNew(name, ...args)).next.filter((line) => line.startsWith("npm install"));
    assert.deepEqual(await install("one"), ["npm install --prefix tasks"]);
    assert.match((await install("two", "--typed")).join(), /^npm install --prefix tasks @bufbuild\/protobuf@\^\d\S+$/);

    mkdirSync(join(folder, "node_modules/millpond"), { recursive: true });
    mkdirSync(join(folder, "node_modules/@bufbuild/protobuf"), { recursive: true });
    assert.deepEqual(await install("three", "--typed"), []);
    rmSync(join(folder, "tasks/package.json"));
    assert.deepEqual(await install("four"), []);
    const manifest = JSON.parse(readFileSync(join(folder, "tasks/package.json"), "utf8"));
    assert.equal(manifest.dependencies, undefined, "what lies above the folder is not installed twice");
  });
});

suite("what it takes for granted holds:", () => {
  test("each built-in task is named as its file is", async () => {
    const { tasks } = await loadHere(new URL("../../../src/tasks/", import.meta.url));
    assert.deepEqual([...tasks.keys()].toSorted(), (await builtInNames()).toSorted());
  });

  test("the types of a new message are, byte for byte, those that the real generator makes", async (t) => {
    const folder = enterFolder(t);
    mkdirSync(join(folder, "proto"));
    writeFileSync(join(folder, "buf.gen.yaml"), generatorFile);
    const all = await Promise.all(
      ["invoice.total", "a.1b", "a--b_", "message", "package", "import", "option", "google", "millpond"].map(namesOf),
    );
    for (const names of all) writeFileSync(join(folder, `proto/${names.proto}.proto`), protoFile(names));
    const bin = join(root, "node_modules/.bin");
    const { status, stderr } = spawnSync(join(bin, "buf"), ["generate"], {
      cwd: folder,
      env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}` },
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    for (const names of all) {
      assert.equal(generatedFile(names), readFileSync(join(folder, `gen/${names.proto}_pb.ts`), "utf8"));
    }
  });

  test("only what came from a registry is asked for by its version: elsewhere that name may be another's", async (t) => {
    const folder = enterFolder(t);
    const own = join(folder, "node_modules/millpond");
    assert.deepEqual(await originOf(join(folder, "millpond")), { kind: "clone", path: join(folder, "millpond") });
    assert.equal((await originOf(own)).kind, "registry", "other installers keep no such record");

    const record = (resolved: object) =>
      writeFileSync(
        join(folder, "node_modules/.package-lock.json"),
        JSON.stringify({ packages: { "node_modules/millpond": resolved } }),
      );
    mkdirSync(own, { recursive: true });
    record({ resolved: "https://registry.example/millpond/-/millpond-0.1.0.tgz" });
    const fromRegistry = await originOf(own);
    assert.match(dependencyOn(fromRegistry, folder), /^\^\d+\.\d+\.\d+$/);

    record({ resolved: "file:../millpond-0.1.0.tgz" });
    const fromFile = await originOf(own);
    assert.deepEqual(fromFile, { kind: "file", path: join(folder, "../millpond-0.1.0.tgz") });
    assert.equal(dependencyOn(fromFile, join(folder, "tasks")), "file:../../millpond-0.1.0.tgz");
  });

  test("a clone has to be built before tasks' tests can import it, and what was packed is built", (t) => {
    const path = enterFolder(t);
    assert.deepEqual(building({ kind: "clone", path }), ["npm run build --prefix ."]);
    assert.deepEqual(building({ kind: "file", path }), []);
    mkdirSync("dist");
    assert.deepEqual(building({ kind: "clone", path }), []);
  });
});
