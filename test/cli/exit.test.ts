import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { temporaryFolder } from "../ci/temporary-folder.ts";

const cwd = new URL("../..", import.meta.url);
const script = (before: string) => `
  const { recordCpu } = await import("./src/telemetry/inspector.ts");
  const { exitAtOnce } = await import("./src/cli/exit.ts");
  ${before}
  const endMs = performance.now() + 30;
  while (performance.now() < endMs);
  exitAtOnce(70);`;

test("a process that is being profiled ends at once with its exit code, not by a sample's signal", {
  skip: process.platform === "win32",
}, async () => {
  for (let count = 0; count < 16; count += 1) {
    const args = ["--input-type=module", "--eval", script("await recordCpu(null);")];
    const child = spawn(process.execPath, args, { cwd, stdio: "ignore" });
    assert.deepEqual(await once(child, "exit"), [70, null]); // without care one in four ends by SIGPROF
  }
});

test("a process that Node.js profiles from its start ends with its exit code, and its profile is written", async (t) => {
  const folder = temporaryFolder(t);
  const profiled = ["--cpu-prof", `--cpu-prof-dir=${folder}`, "--input-type=module", "--eval", script("")];
  const child = spawn(process.execPath, profiled, { cwd, stdio: "ignore" });
  assert.deepEqual([await once(child, "exit"), readdirSync(folder).length], [[70, null], 1]);
});
