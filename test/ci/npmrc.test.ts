/** In a clone npm says nothing about a Node.js that Millpond does not run on. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./temporary-folder.ts";

const npmrc = fileURLToPath(new URL("../../.npmrc", import.meta.url));

/** What `npx` says in a folder whose package has a command and wants a Node.js that is not there. */
function npxIn(t: TestContext, withSettings: boolean) {
  const clone = temporaryFolder(t);
  const manifest = { name: "pond", version: "1.0.0", bin: "launch.mjs", engines: { node: ">=999" } };
  writeFileSync(join(clone, "package.json"), JSON.stringify(manifest));
  writeFileSync(join(clone, "launch.mjs"), "#!/usr/bin/env node\nconsole.log('ran')\n");
  chmodSync(join(clone, "launch.mjs"), 0o755);
  if (withSettings) copyFileSync(npmrc, join(clone, ".npmrc"));
  const inherited = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  const env = {
    ...Object.fromEntries(inherited),
    npm_config_cache: join(clone, "cache"),
    npm_config_update_notifier: "false",
  };
  const { stdout, stderr } = spawnSync("npx", ["--offline", "pond"], { cwd: clone, encoding: "utf8", env });
  return { stdout, stderr };
}

test("npx in a clone prints what the command prints and no warning", (t) => {
  assert.deepEqual(npxIn(t, true), { stdout: "ran\n", stderr: "" });
});

test("without the clone's settings npx warns", (t) => {
  assert.match(npxIn(t, false).stderr, /EBADENGINE/);
});
