import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";

const cwd = new URL("../..", import.meta.url);
const script = `
  const { recordCpu } = await import("./src/telemetry/inspector.ts");
  const { exitAtOnce } = await import("./src/cli/exit.ts");
  await recordCpu(null);
  const endMs = performance.now() + 30;
  while (performance.now() < endMs);
  exitAtOnce(70);`;

test("a process that is being profiled ends at once with its exit code, not by a sample's signal", {
  skip: process.platform === "win32",
}, async () => {
  for (let count = 0; count < 16; count += 1) {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { cwd, stdio: "ignore" });
    assert.deepEqual(await once(child, "exit"), [70, null]); // without care one in four ends by SIGPROF
  }
});
