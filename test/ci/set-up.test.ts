import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./temporary-folder.ts";

const setUp = fileURLToPath(new URL("../../.ci/set-up.mjs", import.meta.url));
const dependencies = { piscina: "5.3.2" };
const lock = {
  packages: {
    "": { dependencies },
    "node_modules/piscina": { version: "5.3.2", integrity: "sha512-a" },
    "node_modules/only-for-macs": { version: "1.0.0", optional: true },
  },
};

test("an installed clone runs the script at once, with its arguments and its exit code", async (t) => {
  const clone = makeClone(t, { packages: { "node_modules/piscina": { version: "5.3.2", integrity: "sha512-a" } } });
  const { code, stdout, stderr } = await run(clone, ["-p", "process.argv.slice(1).join()", "--", "--json", "x"]);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "--json,x\n", stderr: "" });
  assert.equal((await run(clone, ["-e", "process.exitCode = 7"])).code, 7);
  assert.equal(readlinkSync(join(clone, "node_modules/.bin/millpond")), "../../src/launch.mjs");
});

for (const [what, installed] of [
  ["nothing is installed", null],
  [
    "another version is installed",
    { packages: { "node_modules/piscina": { version: "5.0.0", integrity: "sha512-b" } } },
  ],
  ["a package is missing", { packages: {} }],
] as const) {
  test(`when ${what}, npm ci runs first and standard output stays the script's`, async (t) => {
    const clone = makeClone(t, installed);
    const { code, stdout, stderr } = await run(clone, ["-p", "1"]);
    assert.deepEqual({ code, stdout }, { code: 0, stdout: "1\n" });
    assert.match(stderr, /^set-up: installing the packages of package-lock.json ... done in [\d.]+ s\n$/);
    assert.equal((await run(clone, ["-p", "1"])).stderr, "", "the second run installs nothing");
  });
}

test("when npm ci fails, its words are shown and nothing is started", async (t) => {
  const clone = makeClone(t, null, "echo the registry is away >&2; exit 1");
  const { code, stdout, stderr } = await run(clone, ["-p", "1"]);
  assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
  assert.match(stderr, /npm ci failed after .* s\nthe registry is away/);
});

test("a signal reaches the script, and its end is the end of both", async (t) => {
  const clone = makeClone(t, lock);
  const script = "process.on('SIGTERM', () => process.exit(9)); setInterval(() => {}, 1e6); console.log('ready')";
  const child = start(clone, ["-e", script]);
  t.after(() => child.kill("SIGKILL"));
  assert.ok(child.stdout);
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [9, null]);
});

test("tests share the code that they compiled, and a run of all of them begins without any", async (t) => {
  const clone = makeClone(t, lock);
  const [tests, kept] = [join(clone, "test"), join(clone, "node_modules/.cache/tests")];
  for (const folder of [tests, kept]) mkdirSync(folder, { recursive: true });
  copyFileSync(new URL("../../.ci/reporter.ts", import.meta.url), join(clone, ".ci/reporter.ts"));
  writeFileSync(join(tests, "a.test.ts"), "console.log(process.env.NODE_COMPILE_CACHE);");
  writeFileSync(join(kept, "earlier"), "");

  const named = await run(clone, ["--test", "test/a.test.ts"]);
  assert.deepEqual([named.code, named.stdout.split("\n")[0]], [0, kept], named.stderr);
  assert.ok(existsSync(join(kept, "earlier")));
  assert.equal((await run(clone, ["--test"])).code, 0);
  assert.ok(!existsSync(join(kept, "earlier")));
});

/** A clone with set-up.mjs, the pinned Node.js, and an npm of its own that installs what the lock says, or does `npm`. */
function makeClone(t: TestContext, installed: object | null, npm?: string): string {
  const clone = temporaryFolder(t);
  const [ci, bin, modules] = [join(clone, ".ci"), join(clone, "fake"), join(clone, "node_modules")];
  for (const folder of [ci, bin, join(modules, ".bin"), join(modules, "node/bin")])
    mkdirSync(folder, { recursive: true });
  copyFileSync(setUp, join(ci, "set-up.mjs"));
  symlinkSync(process.execPath, join(modules, "node/bin/node"));
  writeFileSync(join(clone, "package.json"), JSON.stringify({ dependencies }));
  writeFileSync(join(clone, "package-lock.json"), JSON.stringify(lock));
  if (installed) writeFileSync(join(modules, ".package-lock.json"), JSON.stringify(installed));
  writeFileSync(join(bin, "npm"), `#!/bin/sh\n${npm ?? "cp package-lock.json node_modules/.package-lock.json"}\n`);
  chmodSync(join(bin, "npm"), 0o755);
  assert.ok(existsSync(join(ci, "set-up.mjs")));
  return clone;
}

function start(clone: string, args: readonly string[]): ChildProcess {
  const env = { PATH: `${join(clone, "fake")}:${process.env.PATH}` };
  const stdio = ["ignore", "pipe", "pipe"] as const;
  return spawn(process.execPath, [join(clone, ".ci/set-up.mjs"), ...args], { env, cwd: clone, stdio: [...stdio] });
}

async function run(clone: string, args: readonly string[]) {
  const child = start(clone, args);
  assert.ok(child.stdout && child.stderr);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { code: code as number | null, stdout, stderr };
}
