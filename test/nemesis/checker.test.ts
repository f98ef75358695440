/** The checker sees each kind of breach, and none where there is none. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { check, invariants } from "./checker.ts";
import { channel, client, goodStory, type Story, tell } from "./story.ts";

const leaseMs = 1000;
const verdict = ({ events }: Story) => check(events, { leaseMs, atLeast: {} });
const broken = (story: Story) => new Set(verdict(story).violations.map(({ invariant }) => invariant));

/** A job that is submitted, accepted and read from stream `s`. */
const begun = () => tell().open("s", 0).submit("a").accepted("a");
const dead = { state: "DEAD", reason: "told_to_fail" } as const;

test("a run in which all is well has no violation, and every invariant but those of later faults looked at it", () => {
  const { violations, checked, counts } = verdict(goodStory());
  assert.deepEqual(violations, []);
  assert.deepEqual(
    Object.entries(checked).flatMap(([name, count]) => (count === 0 ? [name] : [])),
    ["I13", "I14", "I20"],
  );
  assert.deepEqual(counts, {
    ...{ events: goodStory().events.length, submitted: 3, accepted: 2, refused: 1, results: 2, executions: 4, acks: 1 },
  });
});

test("a checker that looked at too little says so, and at nothing too", () => {
  const few = check(goodStory().events, { leaseMs, atLeast: { I1: 3, I2: 2 } });
  assert.deepEqual(few.violations, [{ invariant: "I1", text: "looked at 2 things, and fewer than 3 prove nothing" }]);
  const none = check([], { leaseMs, atLeast: Object.fromEntries(invariants.map(({ name }) => [name, 1])) });
  assert.equal(none.violationCount, invariants.length);
});

test("where another takes what ran out, an attempt that was leased before the end may begin after it, and no other", () => {
  const judged = (attempt: number) => {
    const story = begun().runs("a", 1).result("s", 1, "a", { attempts: 2 }).runs("a", attempt);
    return check(story.events, { leaseMs, isShared: true, atLeast: {} }).violations.filter(({ text }) =>
      /after its result/.test(text),
    );
  };
  assert.deepEqual(judged(2), []);
  assert.equal(judged(3).length, 1);
});

test("what cannot hold under a fault is left out by name, and is not counted as checked", () => {
  const story = begun().runs("a", 2).result("s", 1, "a", { attempts: 2 });
  const { violations, checked } = check(story.events, { leaseMs, atLeast: {}, except: { I7: "for this test" } });
  assert.deepEqual([violations, "I7" in checked], [[], false]);
});

test("the first counter-example tells the story of its job, with what happened to the server meanwhile", () => {
  const story = begun().runs("a", 1).killed().submit("b").accepted("b").runs("b", 1).result("s", 1, "b");
  const { firstCounterExample } = verdict(story);
  assert.deepEqual(firstCounterExample?.violation, {
    ...{ invariant: "I1", text: "accepted, and no result ever came", job: "a" },
  });
  assert.deepEqual(
    firstCounterExample.events.map(({ kind }) => kind),
    ["submit", "accepted", "began", "finished", "ended", "serving"],
  );
});

suite("each breach is seen by the invariant that forbids it", () => {
  const breaches: readonly (readonly [string, string, Story])[] = [
    ["I1", "an accepted job without a result", begun().runs("a", 1)],
    ["I2", "a result of a job nobody submitted", tell().open("s", 0).result("s", 1, "x", dead)],
    ["I2", "an execution of a job nobody submitted", tell().runs("x", 1)],
    ["I3", "a refused job that ran", tell().submit("a").refused("a").runs("a", 1)],
    [
      "I4",
      "two jobs of one key, one of them never acknowledged",
      begun()
        .submit("b", { key: "k" })
        .runs("b", 1)
        .submit("c", { key: "k" })
        .runs("c", 1)
        .runs("a", 1)
        .result("s", 1, "a"),
    ],
    ["I5", "another output than the hash of the input", begun().runs("a", 1).result("s", 1, "a", { sha256: "00" })],
    ["I6", "a result after which the job runs again", begun().runs("a", 1).result("s", 1, "a").killed().runs("a", 2)],
    [
      "I6",
      "an output of an attempt that lost its lease",
      begun().runs("a", 1).runs("a", 2).result("s", 1, "a", { attempts: 2, run: "a-1" }),
    ],
    [
      "I6",
      "a result that changes",
      begun().runs("a", 1).result("s", 1, "a").open("t", 0).result("t", 1, "a", { attempts: 2 }),
    ],
    [
      "I7",
      "an attempt beyond the bound",
      tell().open("s", 0).submit("a", { maxAttempts: 1 }).runs("a", 1).runs("a", 2),
    ],
    [
      "I7",
      "a number that is left out although nothing died",
      begun().runs("a", 2).result("s", 1, "a", { attempts: 2 }),
    ],
    [
      "I7",
      "a number that is used again after a kill",
      begun().begins("a", 1).killed().runs("a", 1).result("s", 1, "a"),
    ],
    [
      "I7",
      "a number that is used again although its thread lived on",
      killer(2).runs("a", 1).murders("k", 1).runs("a", 1).result("s", 1, "a"),
    ],
    [
      "I7",
      "a number that is used again after the job itself ended its thread",
      begun().begins("a", 1).murders("a", 1).runs("a", 1).result("s", 1, "a"),
    ],
    [
      "I8",
      "two attempts at once within the lease",
      begun().begins("a", 1).begins("a", 2, 2).wait(10).ends("a", 1).ends("a", 2).result("s", 1, "a", { attempts: 2 }),
    ],
    ["I9", "a gap in a stream", twoResults(1, 3).open("t", 1).result("t", 2, "c", dead)],
    ["I9", "a result after its acknowledgement", twoResults(1, 2).acked(2).open("t", 1).result("t", 2, "b", dead)],
    ["I9", "a position of two jobs", twoResults(1, 2).open("t", 1).result("t", 2, "c", dead)],
    ["I10", "a position that never came", tell().open("s", 1).submit("b").result("s", 2, "b", dead)],
    [
      "I13",
      "a success after the cancel of a job that waited",
      begun().cancel("a", "CANCELLED").result("s", 1, "a", { run: null }),
    ],
    [
      "I13",
      "an attempt after the cancel",
      begun()
        .begins("a", 1)
        .cancel("a", "CANCELLING")
        .ends("a", 1)
        .runs("a", 2)
        .result("s", 1, "a", { state: "CANCELLED" }),
    ],
    [
      "I13",
      "an attempt long after the cancel",
      begun().cancel("a", "CANCELLING").wait(50).runs("a", 1).result("s", 1, "a", { state: "CANCELLED" }),
    ],
    [
      "I13",
      "an attempt after the cancel of a job that waited",
      begun().cancel("a", "CANCELLED").runs("a", 1).result("s", 1, "a", { state: "CANCELLED" }),
    ],
    ["I13", "a cancel that nobody asked for", begun().result("s", 1, "a", { state: "CANCELLED" })],
    [
      "I14",
      "a begin before its time",
      tell().open("s", 0).submit("a", { notBefore: 2_000_000 }).runs("a", 1).result("s", 1, "a"),
    ],
    ["I14", "a retry before its delay", retried(50, false)],
    ["I18", "a job that waits at the end", tell().add({ kind: "at-rest", client, queued: 1, running: 0 })],
    ["I18", "a job that runs at the end", tell().add({ kind: "at-rest", client, queued: 0, running: 1 })],
    ["I19", "a damaged file", tell().add({ kind: "store", integrity: ["row missing"], counters: {}, rows: {} })],
    [
      "I19",
      "a counter that is not its rows",
      tell().add({ kind: "store", integrity: [], counters: { q: 1 }, rows: {} }),
    ],
    ["I20", "a dead letter without its first error", letter([{ number: 2, outcome: "FAILED", reason: "lost" }])],
    ["I20", "a redrive without a second end", letter().add({ kind: "redrive", client, id: "a" })],
  ];
  for (const [invariant, name, story] of breaches) {
    test(`${invariant}: ${name}`, () => {
      const found = broken(story);
      assert.ok(found.has(invariant), `found only ${[...found].join(", ") || "nothing"}`);
    });
  }
});

suite("what looks odd and is allowed", () => {
  const allowed: readonly (readonly [string, Story])[] = [
    [
      "a refused job that is sent again and accepted",
      tell().open("s", 0).submit("a").refused("a").again("a").accepted("a").runs("a", 1).result("s", 1, "a"),
    ],
    ["an unanswered submit that ran", tell().open("s", 0).submit("a").runs("a", 1).result("s", 1, "a")],
    [
      "an attempt that a kill took before it wrote a line",
      begun().killed().runs("a", 2).result("s", 1, "a", { attempts: 2 }),
    ],
    ["an attempt that was handed back at a stop", begun().begins("a", 1).stopped().runs("a", 1).result("s", 1, "a")],
    [
      "an attempt that ended unheard, because a neighbour took the thread with it",
      killer(1).runs("a", 1).murders("k", 1).runs("a", 1).result("s", 1, "a").result("s", 2, "k", dead),
    ],
    ["a retry at once after a kill", retried(0, false, "killed")],
    [
      "a dead letter that tells of an attempt which expired before it began",
      letter([
        { number: 1, outcome: "FAILED", reason: "told_to_fail" },
        { number: 2, outcome: "EXPIRED", reason: "expired" },
      ]),
    ],
    [
      "two attempts at once after the lease ended",
      begun()
        .begins("a", 1)
        .wait(1000)
        .begins("a", 2, 2)
        .ends("a", 1)
        .ends("a", 2)
        .result("s", 1, "a", { attempts: 2 }),
    ],
    [
      "results that come again on the next stream",
      twoResults(1, 2).open("t", 0).result("t", 1, "a", dead).result("t", 2, "b", dead),
    ],
    [
      "a stream that passes over what is acknowledged",
      twoResults(1, 2).acked(1).open("t", 0).result("t", 2, "b", dead),
    ],
    [
      "a running job that succeeds before the news reaches it",
      begun().begins("a", 1).cancel("a", "CANCELLING").ends("a", 1).result("s", 1, "a"),
    ],
    [
      "a running job whose thread came to its first line only after the cancel",
      begun().cancel("a", "CANCELLING").runs("a", 1, "threw").result("s", 1, "a", { state: "CANCELLED" }),
    ],
    [
      "a second submit of a key, answered with the first job",
      begun()
        .submit("b", { key: "k" })
        .accepted("b")
        .runs("b", 1)
        .result("s", 1, "b")
        .submit("c", { key: "k" })
        .accepted("c", "b")
        .runs("a", 1)
        .result("s", 2, "a"),
    ],
    ["a retry after its delay", retried(150, false)],
  ];
  for (const [name, story] of allowed) test(name, () => assert.deepEqual(verdict(story).violations, []));
});

test("I14: thirty delays with full jitter of which none is short are no jitter", () => {
  const many = (delayMs: (index: number) => number) => {
    const story = tell();
    for (let index = 0; index < 30; index++) {
      const retry = { baseMs: 100, hasJitter: true };
      story.submit(`j${index}`, { retry }).runs(`j${index}`, 1, "threw").wait(delayMs(index)).runs(`j${index}`, 2);
    }
    return broken(story);
  };
  assert.ok(many(() => 100).has("I14"));
  assert.ok(!many((index) => index * 3).has("I14"));
});

function twoResults(first: number, second: number): Story {
  return begun().submit("b").submit("c").result("s", first, "a", dead).result("s", second, "b", dead);
}

function retried(delayMs: number, hasJitter: boolean, meanwhile?: "killed"): Story {
  const told = tell()
    .open("s", 0)
    .submit("a", { retry: { baseMs: 100, hasJitter } })
    .accepted("a")
    .runs("a", 1, "threw");
  if (meanwhile) told[meanwhile]();
  return told.wait(delayMs).runs("a", 2).result("s", 1, "a", { attempts: 2 });
}

/** `a` as in `begun`, and a second job that begins on the thread of this number. */
function killer(thread: number): Story {
  return begun().submit("k").accepted("k").begins("k", 1, thread);
}

function letter(history: { number: number; outcome: string; reason: string }[] = []): Story {
  const told = begun().runs("a", 1, "threw").result("s", 1, "a", dead);
  const attempts = history.at(0)?.number === 1 ? 1 : history.length === 0 ? 0 : 2;
  return history.length === 0 ? told : told.add({ kind: "dead-letter", client, id: "a", attempts, history });
}

test("a story's channel is its client's own", () => {
  assert.deepEqual(verdict(goodStory()).violations, []);
  const stranger = begun()
    .runs("a", 1)
    .add({
      ...{ kind: "result", client: "bob", channel, stream: "s", cursor: 1, id: "a", state: "DEAD", attempts: 1 },
      ...{ redrives: 0, sha256: null, run: null, reason: "x" },
    });
  assert.ok(broken(stranger).has("I2"), "another client's result");
});
