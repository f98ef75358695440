/** A folder of tasks as users have it: the tasks of docs/tasks.md, with a package.json and a `node_modules` of its own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { connect, type MillpondClient, MillpondClientError } from "../../clients/typescript/index.ts";
import { startMillpond, type TestServer } from "../cli/server.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const execute = promisify(execFile);
const [, page = ""] =
  /^## What it takes and returns\n(.*?)^## /ms.exec(readFileSync(join(root, "docs/tasks.md"), "utf8")) ?? [];

/** The files that the section shows: their first line is their name. */
const shown = Object.fromEntries(
  [...page.matchAll(/^```ts\n\/\/ (\S+\.ts)\n(.*?)^```$/gms)].map(([, name = "", text = ""]) => [name, text]),
);
const { "client.ts": client = "", ...tasks } = shown;

/** A native addon that is installed here: that of sharp, on whatever platform. */
const load = createRequire(import.meta.url);
assert.ok(load("sharp"));
const addon = Object.keys(load.cache).find((path) => path.endsWith(".node")) as string;

const packages = {
  "in-commonjs/package.json": '{ "name": "in-commonjs", "main": "./main.js" }',
  "in-commonjs/main.js": 'const { shout } = require("./lib/shout"); exports.greet = (name) => shout(`hello ${name}`);',
  "in-commonjs/lib/shout.js": "exports.shout = (text) => text.toUpperCase();",
  "@own/esm/package.json": '{ "name": "@own/esm", "type": "module", "exports": { "./deep": "./src/deep.js" } }',
  "@own/esm/src/deep.js":
    'import { greet } from "in-commonjs"; export const twice = (name) => [greet(name), greet(name)];',
  "native/package.json": '{ "name": "native", "main": "./addon.node" }',
};

/** Uses all of them at import and in `check` and `run`, and so in two threads that the server's own use of it comes on top of. */
const usesPackages = `import { defineTask } from "millpond";
import { twice } from "@own/esm/deep";
import { greet } from "in-commonjs";
import native from "native";
import { createRequire } from "node:module";
import * as z from "zod";

const required = createRequire(import.meta.url)("in-commonjs");
const version = native.libvipsVersion().semver;

export default defineTask({
  name: "uses.packages",
  pool: "cpu",
  input: z.string(),
  check: (name) => (native.libvipsVersion().semver === version && greet(name) !== "" ? [] : [{ field: "", description: "?" }]),
  run: (name) => [...twice(name), required.greet === greet, typeof native.libvipsVersion().semver],
});
`;

let folder: string;
let server: TestServer;
let user: MillpondClient;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "millpond-own-"));
  await writeFile(join(folder, "package.json"), '{ "name": "tasks", "type": "module", "private": true }');
  for (const [name, text] of Object.entries(tasks)) await writeFile(join(folder, name), text);
  await writeFile(join(folder, "uses-packages.ts"), usesPackages);
  const modules = join(folder, "node_modules");
  for (const [path, text] of Object.entries(packages)) {
    await mkdir(dirname(join(modules, path)), { recursive: true });
    await writeFile(join(modules, path), text);
  }
  await symlink(addon, join(modules, "native/addon.node"));
  await mkdir(join(modules, "@valibot"));
  for (const name of ["zod", "valibot", "@valibot/to-json-schema"]) {
    await symlink(join(root, "node_modules", name), join(modules, name));
  }
  server = await startMillpond(["--store", "memory", "--task-check-ms", "60000", "--tasks-dir", folder]);
  user = connect({ address: server.serving.grpc });
});

after(async () => {
  await user.close();
  await server.dispose();
  await rm(folder, { recursive: true });
});

const refusalOf = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => assert.fail("it was accepted"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof MillpondClientError, String(error));
  return [error.reason, ...error.violations.map(({ field, description }) => `${field}: ${description}`)];
};

suite("tasks with schemas in a folder of one's own", () => {
  test("are those of docs/tasks.md", () => {
    assert.deepEqual(Object.keys(tasks), ["thumbnail.ts", "rename.ts", "report.ts"]);
  });

  test("refuse at submit what does not fit, with the path of each field from the job", async () => {
    const [reason, ...violations] = await refusalOf(user.submit("thumbnail", { path: "", width: 5000 }));
    assert.equal(reason, "invalid_argument");
    assert.match(violations.join("\n"), /^input\.path: .*\ninput\.width: .*4000/);
    const names = { files: [{ name: "a" }, { name: "" }] };
    assert.match((await refusalOf(user.submit("rename", names))).join(), /^invalid_argument,input\.files\[1\]\.name: /);
    assert.deepEqual(await refusalOf(user.submit("report", undefined)), ["invalid_argument", "input: must be object"]);
    assert.deepEqual(await refusalOf(user.submit("report", new Uint8Array(3))), [
      "invalid_argument",
      "input: is bytes and must be JSON",
    ]);
  });

  test("run with what the schema made of the input", async () => {
    const thumbnail = await user.run("thumbnail", { path: "a", takenAt: "2025-06-01T12:00:00Z" });
    assert.deepEqual(thumbnail.output, { path: "a.2025.jpg", width: 320 });
    assert.deepEqual((await user.run("rename", { files: [{ name: "A" }, { name: "b" }] })).output, ["a", "b"]);
    assert.deepEqual((await user.run("report", { title: "May", format: "pdf" })).output, "May.pdf: 0 pages");
  });

  test("are shown with their JSON Schemas", async () => {
    const found = new Map((await user.tasks()).map((task) => [task.name, task]));
    const [thumbnail, rename, report] = ["thumbnail", "rename", "report"].map((name) => found.get(name));
    assert.equal(thumbnail?.inputType, "");
    assert.equal(thumbnail.inputSchema?.vendor, "zod");
    assert.deepEqual(thumbnail.inputSchema.jsonSchema?.["required"], ["path"]);
    assert.deepEqual(Object.keys(Object(thumbnail.outputSchema?.jsonSchema?.["properties"])), ["path", "width"]);
    assert.equal(rename?.inputSchema?.vendor, "valibot");
    assert.deepEqual(rename.inputSchema.jsonSchema?.["required"], ["files"]);
    assert.equal(rename.outputSchema, undefined);
    assert.deepEqual(report?.inputSchema?.jsonSchema?.["required"], ["title", "format"]);
    const { stdout } = await server.as("ada", ["tasks"]);
    assert.match(stdout, /^report +cpu +\{title, format, pages\?\} +JSON, bytes /m);
  });

  test("refuse what the command sends, as the page shows it", async () => {
    const [, command = "", answer] = /\$ millpond run report '(.*?)'\n(.*?)```/s.exec(page) ?? [];
    const { code, stderr } = await server.as("ada", ["run", "report", command]);
    assert.notEqual(code, 0);
    assert.equal(stderr, answer);
  });

  test("type and run the client of the page", async () => {
    const program = client.replace("127.0.0.1:7717", server.serving.grpc);
    const path = (name: string) => JSON.stringify(join(root, name));
    await writeFile(
      join(folder, "client.mts"),
      program.replace('"millpond/client"', path("clients/typescript/index.ts")),
    );
    const paths = { millpond: [join(root, "src/index.ts")], "*": [join(root, "node_modules/*")] };
    const compilerOptions = {
      ...{ module: "nodenext", target: "esnext", strict: true, noEmit: true, skipLibCheck: true, paths },
      ...{ allowImportingTsExtensions: true, erasableSyntaxOnly: true, verbatimModuleSyntax: true },
      ...{ types: ["node"], typeRoots: [join(root, "node_modules/@types")] },
    };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["client.mts"] }));
    await execute("tsc", ["-p", folder], {
      env: { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"]}` },
    });
    const { stdout } = await execute(process.execPath, [join(folder, "client.mts")]);
    assert.equal(stdout, "a.jpg.any.jpg\n");
  });
});

suite("packages in a folder's own node_modules", () => {
  test("work in all forms, in the checker and in the workers: CommonJS, ES modules, native addons", async () => {
    const { output } = await user.run("uses.packages", "ada");
    assert.deepEqual(output, ["HELLO ADA", "HELLO ADA", true, "string"]);
  });
});
