import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { attemptSpanId } from "../../src/job/trace.ts";
import { createSignal } from "../../src/lifecycle.ts";
import { createAttemptEvents } from "../../src/pool/attempt-events.ts";
import type { AttemptEvent } from "../../src/pool/pool.ts";
import { createPoolSize } from "../../src/pool/size.ts";
import { createSlots } from "../../src/pool/slots.ts";
import { endedOf, keptLog } from "../support/samples.ts";
import { job, tryPool } from "./try-pool.ts";

describe("log", () => {
  test("a line carries the job, its task, its attempt, the span of that and the task's own fields", async (t) => {
    const { pool, lines, heard } = tryPool(t);
    const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const lease = job("waits", "finish", { attempt: 2, trace });
    const running = pool.run([lease]);
    await heard("waiting");
    pool.releaseAll();
    await running;
    assert.deepEqual(lines[0], {
      level: "info",
      fields: {
        ...{ job: lease.id, task: "waits", pool: lease.pool, attempt: 2, fields: {} },
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
        span_id: attemptSpanId(lease.id, lease.fence),
        trace_flags: "01",
      },
      text: "waiting",
    });
  });

  test("a line that the level hides is passed on to who watches the job, and costs nothing else", () => {
    const slots = createSlots({ size: createPoolSize({ min: 1, max: 1 }), concurrency: 1 });
    const lease = job("echo", 1);
    const reported: unknown[] = [];
    const callbacks = { onEnded() {}, onEvent: (_: unknown, event: AttemptEvent) => void reported.push(event) };
    const slot = slots.take([lease], callbacks, 0)?.index ?? -1;
    const { log, lines } = keptLog();
    const events = createAttemptEvents("tried", slots, { ...log, isWritten: (level) => level !== "debug" });
    const { seq, id, task, attempt, fence } = lease;
    const words = { level: "debug", text: "hidden", fields: {} } as const;
    const message = {
      ...{ slot, index: 0, seq, id, task, attempt, fence, ...words },
      kind: "log" as const,
      get trace(): never {
        throw new Error("the trace of a hidden line was read");
      },
    };
    events.receive(message);
    assert.deepEqual(lines, []);
    assert.deepEqual(reported, [{ kind: "log", ...words }]);
  });

  test("what is no text, and fields that are no data, are made so", async (t) => {
    const { pool, lines, heard } = tryPool(t);
    const lease = job("talks", "oddly");
    const running = pool.run([lease]);
    await heard("said");
    assert.deepEqual(
      lines.slice(0, -1).map(({ text, fields }) => [text, fields["fields"]]),
      [
        ["() => 1", {}],
        ["5", {}],
        ["Symbol(s)", { kept: 1 }],
        ["circle", { self: "[circular]" }],
        ["list", { value: [1] }],
        ["null", { value: null }],
      ],
    );
    assert.deepEqual(pool.progressOf(lease.seq), { fraction: 0, note: `{"note":1}` });
    pool.cancel(lease.seq);
    await running;
  });

  test("every line and every report of progress is passed on with its lease, also one that is heard after the end", async (t) => {
    const { pool, events, heard } = tryPool(t);
    const [first, second] = [job("echo", 1), job("talks", "beyond")];
    const running = pool.run([first, second]);
    await heard("said");
    assert.deepEqual(events, [
      { lease: first, event: { kind: "log", level: "debug", text: "begun", fields: {} } },
      { lease: second, event: { kind: "progress", progress: { fraction: 1, note: `${"n".repeat(199)}…` } } },
      { lease: second, event: { kind: "log", level: "info", text: "said", fields: {} } },
    ]);
    pool.cancel(second.seq);
    await running;
    const last = job("echo", 2);
    await pool.run([last]);
    await heard("begun", 2);
    assert.equal(events.at(-1)?.lease.id, last.id);
  });

  test("at most 200 lines of an attempt, each cut to 4096 characters; those that are dropped are told of and counted", async (t) => {
    const { run, lines, events, heard } = tryPool(t);
    const counted = "300 log lines of this attempt were dropped";
    await run("talks", "much");
    await heard(counted);
    assert.ok(lines.slice(0, 200).every(({ text }) => text.length === 4096));
    const told = ["200 lines logged: further ones of this attempt are dropped", counted];
    assert.deepEqual(
      lines.slice(200).map(({ text }) => text),
      told,
    );
    assert.equal(events.length, 202); // who watches the job gets it too
  });
});

describe("progress", () => {
  for (const [how, expected] of [
    ["beyond", { fraction: 1, note: `${"n".repeat(199)}…` }],
    ["below", { fraction: 0, note: "" }],
    ["nonsense", { fraction: 0, note: "" }],
  ] as const) {
    test(`${how}: shown within its bounds while the job runs, and gone afterwards`, async (t) => {
      const { pool, heard } = tryPool(t);
      const lease = job("talks", how);
      const running = pool.run([lease]);
      await heard("said");
      assert.deepEqual(pool.progressOf(lease.seq), expected);
      pool.releaseAll();
      await running;
      assert.equal(pool.progressOf(lease.seq), undefined);
    });
  }

  test("the newest report within 100 ms is sent, as soon as they are over", async (t) => {
    const newest = createSignal();
    const { pool } = tryPool(t, {
      onEvent(event) {
        if (event.kind === "progress" && event.progress.note === "step 999") newest.fire();
      },
    });
    const lease = job("talks", "often");
    const running = pool.run([lease]);
    await newest.promise;
    assert.deepEqual(pool.progressOf(lease.seq), { fraction: 0.5, note: "step 999" });
    pool.cancel(lease.seq);
    await running;
  });

  test("the last report is sent also when the job ends right after it", async (t) => {
    const { pool, events } = tryPool(t);
    const [first, second] = [job("talks", "lastly"), job("echo", 1)];
    await pool.run([first, second]);
    const reports = events.filter(({ event: { kind } }) => kind === "progress");
    assert.deepEqual(reports.at(-1), {
      lease: first,
      event: { kind: "progress", progress: { fraction: 0.5, note: "step 999" } },
    });
    assert.ok(reports.length < 100, `${reports.length}`);
    assert.equal(pool.progressOf(first.seq), undefined);
  });

  test("a report that a task makes after its end is dropped, and a line it logs is its own", async (t) => {
    const { pool, events, lines, heard } = tryPool(t);
    const [leaves, waits] = [job("talks", "late"), job("waits", "finish")];
    const running = pool.run([leaves, waits]);
    await heard("late");
    const late = lines.find(({ text }) => text === "late")?.fields;
    assert.deepEqual([late?.["job"], late?.["span_id"]], [leaves.id, attemptSpanId(leaves.id, leaves.fence)]);
    assert.deepEqual(
      events.filter(({ event: { kind } }) => kind === "progress"),
      [],
    );
    pool.releaseAll();
    await running;
  });

  test("a report that arrives after the job's end is not kept, also before its slot has another chunk", () => {
    const slots = createSlots({ size: createPoolSize({ min: 1, max: 1 }), concurrency: 1 });
    const reported: unknown[] = [];
    const callbacks = { onEnded() {}, onEvent: (_: unknown, event: AttemptEvent) => void reported.push(event) };
    const events = createAttemptEvents("tried", slots, keptLog().log);
    const [first, second] = [job("talks", "late"), job("echo", 1)];
    const slot = slots.take([first], callbacks, 0);
    assert.ok(slot);
    const message = {
      kind: "progress",
      slot: slot.index,
      index: 0,
      seq: first.seq,
      fraction: 1,
      note: "done",
    } as const;
    events.receive(message);
    assert.deepEqual(events.progressOf(first.seq), { fraction: 1, note: "done" });
    events.forget([endedOf(first)]);
    slots.release(slot);
    events.receive(message);
    assert.equal(slots.take([second], callbacks, 1), slot);
    events.receive(message);
    assert.equal(events.progressOf(first.seq), undefined);
    assert.equal(reported.length, 1);
  });
});
