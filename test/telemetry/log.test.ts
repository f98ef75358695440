import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { suite, type TestContext, test } from "node:test";
import { createLog } from "../../src/telemetry/log.ts";

function fileIn(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "millpond-log-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "log");
}

suite("the log", () => {
  test("is written when `written` resolves, also when nothing was logged", async (t) => {
    const path = fileIn(t);
    const fd = openSync(path, "w");
    t.after(() => closeSync(fd));
    const log = createLog("info", fd);
    await log.written();
    assert.equal(readFileSync(path, "utf8"), "");
    for (let line = 0; line < 1000; line++) log.info({ line }, "x".repeat(100));
    await log.written();

    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { line: number }).line),
      Array.from({ length: 1000 }, (_, line) => line),
    );
  });

  test("on a device that takes nothing is lost, and its server goes on", {
    skip: process.platform !== "linux",
  }, async (t) => {
    const fd = openSync("/dev/full", "w");
    t.after(() => closeSync(fd));
    const log = createLog("info", fd);
    for (let line = 0; line < 10; line++) {
      log.info({ line }, "nobody will read this");
      await log.written();
    }
  });

  test("that nobody reads holds 4 MiB at most, and says afterwards how many lines it lost", {
    skip: process.platform === "win32",
  }, async (t) => {
    const path = fileIn(t);
    assert.equal(spawnSync("mkfifo", [path]).status, 0);
    const fd = openSync(path, constants.O_RDWR); // both ends: opening only one would wait for the other
    const log = createLog("info", fd);
    const text = "x".repeat(64 * 1024);
    for (let line = 0; line < 100; line++) log.info({ line }, text);
    const reader = spawn("cat", [path]); // a read of our own would wait for the next line without end
    let lost = 0;
    let read = 0;
    for await (const line of createInterface({ input: reader.stdout })) {
      const { lines } = JSON.parse(line) as { lines?: number };
      read += lines === undefined ? 1 : 0;
      if (lines === undefined) continue;
      lost = lines;
      break;
    }
    reader.kill();
    await once(reader, "close");
    closeSync(fd);

    assert.equal(read + lost, 100);
    assert.ok(read <= 64 && read >= 60, `${read} lines of 64 KiB were held`);
  });
});
