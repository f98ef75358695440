import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { suite, type TestContext, test } from "node:test";
import { createLog, type LogOptions } from "../../src/telemetry/log.ts";
import { createFakeClock } from "../support/fake-clock.ts";

function fileIn(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "millpond-log-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "log");
}

/** A log into a file, and what stands there once it is written. */
function logInto(t: TestContext, options: Partial<LogOptions> = {}) {
  const path = fileIn(t);
  const fd = openSync(path, "w");
  const log = createLog({ level: "info", ...options, fd });
  t.after(async () => {
    await log.written(); // a line written later would end up in the file that gets this descriptor next
    closeSync(fd);
  });
  const lines = async () => {
    await log.written();
    return readFileSync(path, "utf8").trimEnd().split("\n");
  };
  const texts = async () => (await lines()).map((line) => (JSON.parse(line) as { msg: string }).msg);
  return { log, lines, texts };
}

suite("the log", () => {
  test("writes other levels from one moment to the next, and says so", async (t) => {
    const { log, texts } = logInto(t);
    log.debug({}, "before");
    assert.ok(!log.isWritten("debug"));
    log.setThreshold("debug");
    assert.ok(log.isWritten("debug"));
    log.debug({}, "while");
    log.setThreshold("error");
    log.warn({}, "hidden");
    log.setThreshold(null);
    assert.equal(log.threshold(), "info");
    log.debug({}, "after");
    log.info({}, "last");
    const [changes, changed] = ["the log level changes", "the log level has changed"];
    assert.deepEqual(await texts(), [changes, "while", changes, changed, "last"]);
  });

  test("goes back to the level of its configuration after the time that was asked for, and not earlier", (t) => {
    const clock = createFakeClock();
    const { log } = logInto(t, { clock, level: "warn" });
    log.setThreshold("debug", 60_000);
    clock.advance(59_999);
    assert.equal(log.threshold(), "debug");
    log.setThreshold("info", 60_000); // the newest counts
    clock.advance(59_999);
    assert.equal(log.threshold(), "info");
    clock.advance(1);
    assert.equal(log.threshold(), "warn");
    log.setThreshold("debug", 1_000);
    log.setThreshold("info");
    clock.advance(1_000);
    assert.equal(log.threshold(), "info");
    assert.equal(clock.timers(), 0);
  });

  test("shows no secret, however deep it lies", async (t) => {
    const { log, lines } = logInto(t);
    log.info({ fields: { request: [{ headers: { Authorization: "Bearer hidden" } }], user: "ada" } }, "called");
    const [line = ""] = await lines();
    assert.doesNotMatch(line, /hidden/);
    assert.deepEqual((JSON.parse(line) as { fields: unknown }).fields, {
      request: [{ headers: { Authorization: "[redacted]" } }],
      user: "ada",
    });
  });

  test("is JSON where it is no terminal, unless it is told to be for people", async (t) => {
    const piped = logInto(t);
    piped.log.info({ pool: "cpu" }, "text");
    assert.match((await piped.lines())[0] ?? "", /^\{"level":30,"time":".*","pool":"cpu","msg":"text"\}$/);
    const asked = logInto(t, { format: "pretty" });
    asked.log.info({ pool: "cpu" }, "text");
    assert.match((await asked.lines())[0] ?? "", /^\d\d:\d\d:\d\d\.\d{3} info  text  pool=cpu$/);
  });

  test("is written when `written` resolves, also when nothing was logged", async (t) => {
    const path = fileIn(t);
    const fd = openSync(path, "w");
    t.after(() => closeSync(fd));
    const log = createLog({ level: "info", fd });
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
    const log = createLog({ level: "info", fd });
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
    const log = createLog({ level: "info", fd });
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
    assert.equal(log.lost(), lost);
    assert.ok(read <= 64 && read >= 60, `${read} lines of 64 KiB were held`);
  });
});
