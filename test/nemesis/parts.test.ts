/** What the nemesis itself stands on: chance that repeats, logs that lose no line, a report that counts what did not happen. */
import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { parseArguments } from "./arguments.ts";
import { check } from "./checker.ts";
import type { TrialResult } from "./faults/fault.ts";
import { openLog, openTail, readEvents } from "./history/log.ts";
import { createRandom } from "./random.ts";
import { summarize } from "./report.ts";
import { openProxy } from "./stage/proxy.ts";
import { goodStory } from "./story.ts";

test("the same seed draws the same numbers, another seed and a fork draw others", () => {
  const draw = (random = createRandom(7)) => Array.from({ length: 5 }, () => random.integer(0, 1e6));
  assert.deepEqual(draw(), draw());
  assert.notDeepEqual(draw(), draw(createRandom(8)));
  assert.notDeepEqual(draw(), draw(createRandom(7).fork("a")));
  const shares = createRandom(1);
  const lucky = Array.from({ length: 10_000 }, () => shares.isLucky(0.3)).filter(Boolean).length;
  assert.ok(Math.abs(lucky - 3_000) < 200, `${lucky} of 10,000`);
});

suite("logs", () => {
  const folder = mkdtempSync(join(tmpdir(), "nemesis-log-"));
  const path = join(folder, "a.jsonl");

  test("what is written is read, in the order of time, and a line that a kill cut short is left out", (t) => {
    t.after(() => rmSync(folder, { recursive: true }));
    const { events } = goodStory();
    const log = openLog(path);
    for (const event of events.toReversed()) log.write(event);
    log.flush();
    appendFileSync(path, '{"at":1,"kin');
    assert.deepEqual(readEvents([path]), events);
    assert.throws(() => readEvents([join(folder, "none")]), /ENOENT/);

    const tail = openTail(path);
    assert.equal(tail().length, events.length);
    appendFileSync(path, 'd":"fault"}\n');
    assert.deepEqual(tail(), [{ at: 1, kind: "fault" }]);
    assert.deepEqual(tail(), []);
    writeFileSync(path, "no JSON\n");
    assert.throws(() => readEvents([path]), SyntaxError);
  });
});

suite("the report", () => {
  const verdict = check(goodStory().events, { leaseMs: 1, atLeast: {} });
  const about = { name: "kill", row: "N1", says: "" };
  const result: TrialResult & { seconds: number } = { happened: 20, planned: 20, measured: {}, verdict, seconds: 1 };

  test("a clean run has no violation, and tells the bound of what it proves", () => {
    const { violationCount, faults, counts } = summarize(1, [{ ...about, ...result }]);
    assert.deepEqual([violationCount, counts["happened"], counts["accepted"]], [0, 20, 2]);
    assert.equal((faults[0] as { lossBelowPercent: number }).lossBelowPercent, 13.92);
  });

  test("a fault that happened too seldom, one that failed, and a run without any are violations", () => {
    assert.equal(summarize(1, [{ ...about, ...result, happened: 19 }]).violationCount, 1);
    assert.equal(summarize(1, [{ ...about, failed: "no", seconds: 1 }]).violationCount, 1);
    assert.equal(summarize(1, [{ ...about, skipped: "no strace" }]).violationCount, 1);
  });
});

test("arguments: what is no fault and no number is refused", () => {
  assert.deepEqual(parseArguments(["--seed", "7", "--faults", "kill", "--gate"], ["kill"]), {
    ...{ seed: 7, kills: undefined, jobs: undefined, faults: ["kill"], isGate: true, isJson: false },
    ...{ root: undefined, keeps: false },
  });
  assert.throws(() => parseArguments(["--faults", "kil"], ["kill"]), /no fault is named kil: there are kill/);
  assert.throws(() => parseArguments(["--seed", "x"], ["kill"]), /--seed is "x"/);
});

suite("the proxy", () => {
  async function open(t: { after(end: () => unknown): void }) {
    const echo = createServer((socket) => void socket.pipe(socket).on("error", () => undefined));
    echo.listen(0, "127.0.0.1");
    await once(echo, "listening");
    const proxy = await openProxy();
    proxy.leadTo(`127.0.0.1:${(echo.address() as AddressInfo).port}`);
    t.after(() => proxy.close());
    t.after(() => echo.close());
    const socket = connect(Number(proxy.address.split(":")[1]), "127.0.0.1");
    socket.on("error", () => undefined);
    t.after(() => socket.destroy());
    socket.write("hello");
    const [first] = (await once(socket, "data")) as [Buffer];
    assert.equal(first.toString(), "hello");
    return { proxy, socket };
  }
  const random = createRandom(1);

  test("passes everything on, also byte by byte", async (t) => {
    const { proxy, socket } = await open(t);
    assert.equal(proxy.trouble({ kind: "trickle", bytes: 1 }, random), 1);
    socket.write("abc");
    let got = "";
    for await (const chunk of socket) {
      got += String(chunk);
      if (got.length === 3) break;
    }
    assert.equal(got, "abc");
  });

  test("cut in the middle: half of it comes, then the end", async (t) => {
    const { proxy, socket } = await open(t);
    proxy.trouble({ kind: "cut" }, random);
    socket.write("abcd");
    await once(socket, "close");
    assert.ok(socket.bytesRead < 9, `${socket.bytesRead} bytes came`);
  });

  test("reset, and with no connection there is nothing to hurt", async (t) => {
    const { proxy, socket } = await open(t);
    proxy.trouble({ kind: "reset" }, random);
    await new Promise((resolve) => void socket.on("close", resolve));
    assert.equal(proxy.trouble({ kind: "reset" }, random), 0);
  });

  test("half-open stays so: nothing comes, also when the trouble is over or another begins", async (t) => {
    const { proxy, socket } = await open(t);
    proxy.trouble({ kind: "half-open" }, random);
    proxy.calm();
    assert.equal(proxy.trouble({ kind: "delay", ms: 1 }, random), 0);
    socket.write("abcd");
    // another connection through the same proxy has gone there and back meanwhile
    const other = connect(Number(proxy.address.split(":")[1]), "127.0.0.1");
    t.after(() => other.destroy());
    other.write("x");
    await once(other, "data");
    assert.equal(socket.bytesRead, 5);
  });
});
