import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type JobUpdate,
  type JobWatch,
  type LogLine,
  createWatchers,
  fingerprintOf,
} from "../../../src/engine/watch/watchers.ts";
import { MillpondError, refusal } from "../../../src/errors.ts";
import { createSignal, type Signal } from "../../../src/lifecycle.ts";
import type { JobGlance, JobName } from "../../../src/store/store.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";

const job: JobName = { client: "ada", id: "job-1" };
const other: JobName = { client: "ada", id: "job-2" };

function open(maxPerClient = 10, clock = createFakeClock()) {
  /** What the store has of each job; none: the job is not there. */
  const states = new Map<string, JobGlance>();
  /** Jobs that were polled, call by call. */
  const polled: string[][] = [];
  let isAway = false;
  const watchers = createWatchers({
    store: {
      async states(jobs) {
        polled.push(jobs.map(({ id }) => id));
        if (isAway) throw refusal("store_unavailable", ["closed", 1], { retryAfterMs: 1 });
        return jobs.map(({ id }) => states.get(id) ?? null);
      },
    },
    polling: { clock, everyMs: 1_000, random: () => 0 },
    maxPerClient,
  });
  const goAway = (isNow: boolean) => {
    isAway = isNow;
  };
  return { clock, watchers, states, polled, goAway };
}

const waits: JobGlance = { state: "QUEUED", attempts: 0, isCancelling: false, redrives: 0, runAt: 0 };

function line(text: string | number): LogLine {
  return { level: "info", text: String(text), fields: {}, attempt: 1, at: 0 };
}

/** What is there now, as short words. */
async function take(watch: JobWatch): Promise<string[]> {
  const words: string[] = [];
  let last = 0;
  for (;;) {
    const update = await Promise.race([watch.next(), turn().then(() => "nothing" as const)]);
    if (update === "nothing") return words;
    if (update === null) return [...words, "closed"];
    assert.ok(update.event >= last, "events grow");
    last = update.event;
    words.push(wordOf(update));
  }
}

function wordOf(update: JobUpdate): string {
  if (update.kind === "log") return update.line.text;
  if (update.kind === "progress") return `${update.progress.fraction * 100} %`;
  return update.kind === "dropped" ? `${update.count} dropped` : "changed";
}

/** The updates of a watch that has ended, or is about to. */
async function rest(watch: JobWatch): Promise<JobUpdate[]> {
  const updates: JobUpdate[] = [];
  for (let update = await watch.next(); update; update = await watch.next()) updates.push(update);
  return updates;
}

describe("a watch", () => {
  test("begins with `changed`, then tells what happens to its job, and to no other", async () => {
    const { watchers } = open();
    const watch = watchers.open("ada", "job-1", 0);
    watchers.progress(job, { fraction: 0.5, note: "" });
    watchers.progress(other, { fraction: 0.9, note: "" });
    watchers.log(job, line("hello"));
    watchers.changed([other, job]);
    watchers.changed([other]);
    assert.deepEqual(await take(watch), ["changed", "50 %", "hello", "changed"]);
    watch.close();
  });

  test("tells nothing of a job of the same id that is another client's", async () => {
    const { watchers } = open();
    watchers.log(job, line("secret"));
    const watch = watchers.open("eve", "job-1", 0);
    watchers.log(job, line("secret too"));
    watchers.changed([job]);
    assert.deepEqual(await take(watch), ["changed"]);
    watch.close();
  });

  test("wakes who waits, and is null once it is closed, for ever", async () => {
    const { watchers } = open();
    const watch = watchers.open("ada", "job-1", 0);
    await watch.next();
    const waiting = watch.next();
    watchers.changed([job]);
    assert.equal((await waiting)?.kind, "changed");
    const last = watch.next();
    watch.close();
    assert.equal(await last, null);
    assert.equal(await watch.next(), null);
  });

  test("that is closed hands out nothing more, and nobody is watched any more", async () => {
    const { watchers, clock, polled } = open();
    const watch = watchers.open("ada", "job-1", 0);
    watchers.log(job, line("unread"));
    watch.close();
    watch.close();
    assert.equal(await watch.next(), null);
    clock.advance(5_000);
    assert.deepEqual(polled, []);
    assert.equal(clock.timers(), 0);
  });

  test("tells of several changes that wait only the last, behind the lines before it", async () => {
    const { watchers } = open();
    const watch = watchers.open("ada", "job-1", 0);
    await watch.next();
    watchers.changed([job]);
    watchers.log(job, line("a"));
    watchers.changed([job]);
    watchers.log(job, line("b"));
    watchers.changed([job]);
    assert.deepEqual(await take(watch), ["a", "b", "changed"]);
    watch.close();
  });

  test("each of several gets everything", async () => {
    const { watchers } = open();
    const watches = [0, 0].map((after) => watchers.open("ada", "job-1", after));
    watchers.log(job, line("a"));
    for (const watch of watches) {
      assert.deepEqual(await take(watch), ["changed", "a"]);
      watch.close();
    }
  });
});

describe("a slow reader", () => {
  test("loses the oldest lines beyond 256, and learns how many where they are missing", async () => {
    const { watchers } = open();
    const watch = watchers.open("ada", "job-1", 0);
    for (let number = 1; number <= 300; number += 1) watchers.log(job, line(number));
    watchers.changed([job]);
    const words = await take(watch);
    assert.deepEqual(words.slice(0, 3), ["changed", "46 dropped", "47"]);
    assert.deepEqual(words.slice(-2), ["300", "changed"]);
    assert.equal(words.length, 1 + 1 + 254 + 1);
    watch.close();
  });
});

describe("lines from before", () => {
  test("come behind the first `changed`, also when nobody watched", async () => {
    const { watchers } = open();
    watchers.log(job, line("a"));
    watchers.log(other, line("x"));
    watchers.log(job, line("b"));
    const watch = watchers.open("ada", "job-1", 0);
    assert.deepEqual(await take(watch), ["changed", "a", "b"]);
    watch.close();
  });

  test("are sent once to who comes back with the number it saw last", async () => {
    const { watchers } = open();
    watchers.log(job, line("a"));
    watchers.log(job, line("b"));
    const first = watchers.open("ada", "job-1", 0);
    await first.next();
    const seen = (await first.next())?.event ?? 0;
    first.close();
    watchers.log(job, line("c"));
    const second = watchers.open("ada", "job-1", seen);
    assert.deepEqual(await take(second), ["changed", "b", "c"]);
    second.close();
  });

  test("are not skipped by who saw only the first `changed`", async () => {
    const { watchers } = open();
    watchers.log(job, line("a"));
    const first = watchers.open("ada", "job-1", 0);
    const seen = (await first.next())?.event ?? 0;
    first.close();
    const second = watchers.open("ada", "job-1", seen);
    assert.deepEqual(await take(second), ["changed", "a"]);
    second.close();
  });

  test("are the last 256 of a job, with the count of those that are gone", async () => {
    const { watchers } = open();
    for (let number = 1; number <= 300; number += 1) watchers.log(job, line(number));
    const watch = watchers.open("ada", "job-1", 0);
    const words = await take(watch);
    assert.deepEqual(words.slice(0, 3), ["changed", "44 dropped", "45"]);
    assert.equal(words.at(-1), "300");
    watch.close();
  });

  test("take a bounded room: the job that was silent for longest goes first", async () => {
    const { watchers } = open();
    const big = "x".repeat(4_000);
    watchers.log(other, line("old"));
    for (let number = 0; number < 2_000; number += 1) {
      watchers.log({ client: "ada", id: `big-${number}` }, { ...line(number), fields: { big } });
    }
    watchers.log(job, line("new"));
    const [gone, kept] = ["job-2", "job-1"].map((id) => watchers.open("ada", id, 0)) as [JobWatch, JobWatch];
    assert.deepEqual(await take(gone), ["changed"]);
    assert.deepEqual(await take(kept), ["changed", "new"]);
    for (const watch of [gone, kept]) watch.close();
  });
});

describe("event numbers", () => {
  test("go on growing from one process to the next", async () => {
    const clock = createFakeClock();
    const { watchers } = open(10, clock);
    watchers.log(job, line("a"));
    const before = watchers.open("ada", "job-1", 0);
    await before.next();
    const seen = (await before.next())?.event ?? 0;
    clock.advance(1_000);
    const { watchers: next } = open(10, clock);
    next.log(job, line("b"));
    const after = next.open("ada", "job-1", seen);
    assert.deepEqual(await take(after), ["changed", "b"]);
    assert.ok(Number.isSafeInteger(seen));
  });

  test("of a watch grow, whatever number it was opened with", async () => {
    const { watchers } = open();
    const far = Number.MAX_SAFE_INTEGER - 10_000;
    const watch = watchers.open("ada", "job-1", 0);
    watchers.changed([job]);
    watchers.log(job, line("a"));
    watchers.closeAll();
    const events = (await rest(watch)).map(({ event }) => event);
    assert.deepEqual(
      events,
      events.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(events).size, events.length);
    assert.equal((await watchers.open("ada", "job-1", far).next())?.event, far);
  });
});

describe("limits", () => {
  test("each client has so many watches", () => {
    const { watchers } = open(2);
    const [first] = [watchers.open("ada", "job-1", 0), watchers.open("ada", "job-1", 0)];
    const refused = (error: unknown) => error instanceof MillpondError && error.reason === "too_many_watches";
    assert.throws(() => watchers.open("ada", "job-2", 0), refused);
    watchers.open("bob", "job-2", 0);
    first.close();
    first.close();
    watchers.open("ada", "job-2", 0);
    assert.throws(() => watchers.open("ada", "job-2", 0), refused);
  });
});

describe("closeAll", () => {
  test("lets every watch hand out what it holds, and then ends it, also one that is opened later", async () => {
    const { watchers } = open();
    const holding = watchers.open("ada", "job-1", 0);
    watchers.log(job, line("a"));
    const waiting = watchers.open("ada", "job-2", 0);
    await waiting.next();
    const next = waiting.next();
    watchers.closeAll();
    assert.deepEqual(await take(holding), ["changed", "a", "closed"]);
    assert.equal(await next, null);
    assert.deepEqual(await take(watchers.open("ada", "job-1", 0)), ["changed", "a", "closed"]);
  });
});

describe("a job of which no hint comes", () => {
  test("is polled, together with the others, and its watch is notified when its state is another", async () => {
    const { watchers, clock, states, polled } = open();
    states.set("job-1", waits);
    const watches = [watchers.open("ada", "job-1", 0), watchers.open("ada", "job-2", 0)];
    clock.advance(1_000);
    assert.deepEqual(polled, [["job-1", "job-2"]]);
    await turn();
    assert.deepEqual(await Promise.all(watches.map(take)), [
      ["changed", "changed"],
      ["changed", "changed"],
    ]);
    clock.advance(1_000);
    assert.deepEqual(await Promise.all(watches.map(take)), [[], []], "nothing has changed");
    states.set("job-1", { ...waits, state: "RUNNING", attempts: 1 });
    clock.advance(1_000);
    assert.deepEqual(await Promise.all(watches.map(take)), [["changed"], []]);
  });

  test("is not read again by a poll that finds what its reader has read", async () => {
    const { watchers, clock, states } = open();
    states.set("job-1", waits);
    const watch = watchers.open("ada", "job-1", 0);
    assert.deepEqual(await take(watch), ["changed"]);
    watch.saw(fingerprintOf(waits));
    clock.advance(1_000);
    assert.deepEqual(await take(watch), []);
    watch.close();
  });

  test("has one poll under way at most, however long the store does not answer", async () => {
    const clock = createFakeClock();
    const answers: Signal<readonly null[]>[] = [];
    const states = () => {
      answers.push(createSignal());
      return (answers.at(-1) as (typeof answers)[number]).promise;
    };
    const polling = { clock, everyMs: 1_000, random: () => 0 };
    const watchers = createWatchers({ store: { states }, polling, maxPerClient: 100 });
    const watches = Array.from({ length: 100 }, (_, index) => watchers.open("ada", `job-${index}`, 0));
    clock.advance(60_000);
    assert.equal(answers.length, 1);
    answers[0]?.fail(new Error("closed"));
    await turn();
    clock.advance(1_000);
    assert.equal(answers.length, 2, "and goes on afterwards");
    answers[1]?.fire([]);
    for (const watch of watches) watch.close();
  });

  test("is looked at again after its change could not be read, and when the store was away", async () => {
    const { watchers, clock, goAway } = open();
    const watch = watchers.open("ada", "job-1", 0);
    clock.advance(1_000);
    assert.deepEqual(await take(watch), ["changed", "changed"]);
    watch.saw(undefined);
    goAway(true);
    clock.advance(1_000);
    assert.deepEqual(await take(watch), []);
    goAway(false);
    clock.advance(1_000);
    assert.deepEqual(await take(watch), ["changed"]);
    watch.close();
  });
});
