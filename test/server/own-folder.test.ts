/** A folder of tasks as users have it: the tasks of docs/tasks.md, with a package.json and a `node_modules` of its own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { connect, type MillpondClient, MillpondClientError } from "../../clients/typescript/index.ts";
import { startMillpond, type TestServer } from "../cli/server.ts";
import { ownTasks, packages, transferClient } from "./own-folder.ts";

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

/** Of the page, and of `transfer`. */
const clients = ["client.mts", "transfer-client.mts"];

/** Books each line it is sent, and counts its connections. */
const ledger = createLedger();

let folder: string;
let server: TestServer;
let user: MillpondClient;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "millpond-own-"));
  await writeFile(join(folder, "package.json"), '{ "name": "tasks", "type": "module", "private": true }');
  for (const [name, text] of Object.entries({ ...tasks, ...ownTasks })) await writeFile(join(folder, name), text);
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
  const resources = JSON.stringify({ ledger: { port: await ledger.listen(), connections: 2 } });
  const flags = ["--store", "memory", "--task-check-ms", "60000", "--pools", "{cpu: {workers: 1}, io: {workers: 4}}"];
  server = await startMillpond([...flags, "--resources", resources, "--tasks-dir", folder]);
  await writeClients(server.serving.grpc);
  user = connect({ address: server.serving.grpc });
});

after(async () => {
  await user.close();
  await server.dispose();
  await ledger.close();
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

  test("type their clients", async () => {
    const PATH = `${dirname(process.execPath)}:${process.env["PATH"]}`; // tsc is a script of Node.js
    await execute(join(root, "node_modules/.bin/tsc"), ["-p", folder], { env: { ...process.env, PATH } });
  });

  test("run the client of the page", async () => {
    const { stdout } = await execute(process.execPath, [join(folder, "client.mts")]);
    assert.equal(stdout, "a.jpg.any.jpg\n");
  });
});

suite("a schema, a resource and packages of one's own together", () => {
  test("a client is typed by the schema, and its jobs share the connections of the whole server", async () => {
    const { stdout } = await execute(process.execPath, [join(folder, "transfer-client.mts")]);
    assert.equal(stdout, `${(30 * 31) / 2}\n`);
    assert.equal(ledger.lines.length, 30);
    assert.ok(ledger.lines.includes("ada bob 30"));
    assert.ok(ledger.mostConnections <= 2, `${ledger.mostConnections} connections at a time`);
  });

  test("what the schema or the check refuses never reaches the resource", async () => {
    const before = ledger.lines.length;
    const same = { from: "ada", to: "ada", cents: "5" };
    assert.deepEqual(await refusalOf(user.submit("transfer", same)), [
      "invalid_argument",
      "input.to: is the same account",
    ]);
    const [, ...violations] = await refusalOf(user.submit("transfer", { from: "ada\nbob", to: "bob", cents: "-5" }));
    assert.match(violations.join("\n"), /^input\.from: .*\ninput\.cents: /);
    assert.equal(ledger.lines.length, before);
  });
});

suite("packages in a folder's own node_modules", () => {
  test("work in all forms, in the checker and in the workers: CommonJS, ES modules, native addons", async () => {
    const { output } = await user.run("uses.packages", "ada");
    assert.deepEqual(output, ["HELLO ADA", "HELLO ADA", true, "string"]);
  });
});

/** Writes the clients of the tasks into the folder, and what compiles them. */
async function writeClients(address: string): Promise<void> {
  const own = JSON.stringify(join(root, "clients/typescript/index.ts"));
  const texts = [client.replace("127.0.0.1:7717", address), transferClient(address)];
  for (const [index, text] of texts.entries()) {
    await writeFile(join(folder, clients[index] as string), text.replace('"millpond/client"', own));
  }
  const compilerOptions = {
    ...{ module: "nodenext", target: "esnext", strict: true, noEmit: true, skipLibCheck: true },
    ...{ allowImportingTsExtensions: true, erasableSyntaxOnly: true, verbatimModuleSyntax: true },
    ...{ types: ["node"], typeRoots: [join(root, "node_modules/@types")] },
    paths: { millpond: [join(root, "src/index.ts")] },
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: clients }));
}

function createLedger() {
  const lines: string[] = [];
  const counts = { now: 0, most: 0 };
  const listener = createServer({ allowHalfOpen: false }, (socket) => {
    counts.now += 1;
    counts.most = Math.max(counts.most, counts.now);
    socket.on("error", () => undefined).on("close", () => (counts.now -= 1));
    createInterface({ input: socket }).on("line", (line) => {
      lines.push(line);
      socket.write(`booked ${lines.length}\n`);
    });
  });
  return {
    lines,
    get mostConnections() {
      return counts.most;
    },
    async listen() {
      await once(listener.listen(0, "127.0.0.1"), "listening");
      return (listener.address() as AddressInfo).port;
    },
    close: () => promisify(listener.close.bind(listener))(),
  };
}
