import assert from "node:assert/strict";
import { test } from "node:test";
import { refusal } from "../../../src/errors.ts";
import { turn } from "../../support/fake-clock.ts";
import { drafts, refusalOf, shown, tryAdmission } from "./try-admission.ts";

const rates = { perSecond: 10, burst: 5, clients: {} };

function start(count: number, overrides: Parameters<typeof tryAdmission>[0] = {}) {
  const tried = tryAdmission({ rates, ...overrides });
  const waits: number[] = [];
  const stop = new AbortController();
  const options = { signal: stop.signal, onWait: (waitMs: number) => void waits.push(waitMs) };
  const answer = tried.admission.admitSlowly("ada", drafts(count), options);
  return { ...tried, waits, stop, answer };
}

test("a client over its rate waits for its turn instead of being refused, and is told", async () => {
  const { clock, answer, waits } = start(3);
  let isDone = false;
  void answer.then(() => {
    isDone = true;
  });
  await turn();
  clock.advance(299);
  await turn();
  assert.equal(isDone, false);
  clock.advance(1);
  assert.deepEqual((await answer).map(shown), ["accepted", "accepted", "accepted"]);
  assert.deepEqual(waits, [300]);
});

test("more than the burst goes in pieces, in order, each once its time has come", async () => {
  const { clock, answer, backlog, stats } = start(12, { maxQueued: 100 });
  const queued: number[] = [];
  for (let step = 0; step < 13; step += 1) {
    clock.advance(100);
    await turn();
    queued.push(backlog.queued("cpu"));
  }
  assert.deepEqual(queued, [0, 0, 0, 0, 5, 5, 5, 5, 5, 10, 10, 12, 12]);
  assert.equal((await answer).length, 12);
  const { accepted, throttledMs } = stats.client("ada");
  assert.equal(accepted, 12);
  assert.ok(throttledMs >= 1_100 && throttledMs <= 1_200, `${throttledMs} ms`); // it asked within the first step
});

test("calls of one client take turns part by part: a large one is not passed for ever by small ones", async () => {
  const { clock, admission } = tryAdmission({ rates, maxQueued: 100 });
  const order: string[] = [];
  const submit = (name: string, count: number, client = "ada") => {
    const onAdmitted = (part: readonly unknown[]) => void order.push(`${name} ${part.length}`);
    return admission.admitSlowly(client, drafts(count), {
      signal: new AbortController().signal,
      onWait: () => undefined,
      onAdmitted,
    });
  };
  const large = submit("large", 10);
  const small = ["a", "b", "c"].map((name) => submit(name, 1));
  const other = submit("other", 1, "bob");
  for (let step = 0; step < 30; step += 1) {
    await turn();
    clock.advance(100);
  }
  await Promise.all([large, other, ...small]);
  assert.deepEqual(order, ["other 1", "large 5", "a 1", "b 1", "c 1", "large 5"]);
});

test("who goes away while others of its client wait before it is let go at once", async () => {
  const { clock, admission, store } = start(5);
  const gone = new AbortController();
  const answer = admission.admitSlowly("ada", drafts(1), { signal: gone.signal, onWait: () => undefined });
  await turn();
  gone.abort();
  assert.deepEqual((await answer).map(shown), ["cancelled"]);
  assert.equal(clock.timers(), 1);
  assert.deepEqual((await store.counts()).pools, []);
});

test("a client without a limit does not wait", async () => {
  const { answer, waits } = start(20, { rates: { perSecond: 0, burst: 1, clients: {} }, maxQueued: 20 });
  assert.equal((await answer).length, 20);
  assert.deepEqual(waits, []);
});

test("a caller that goes away while it waits leaves no timer and no job behind", async () => {
  const { clock, answer, stop, store } = start(3);
  await turn();
  assert.equal(clock.timers(), 1);
  stop.abort();
  assert.deepEqual((await answer).map(shown), ["cancelled", "cancelled", "cancelled"]);
  assert.equal(clock.timers(), 0);
  assert.deepEqual((await store.counts()).pools, []);
});

test("a server that begins to drain meanwhile refuses what was not admitted yet, and only that", async () => {
  const { clock, answer, admission } = start(8);
  clock.advance(500);
  await turn();
  admission.close();
  clock.advance(300);
  const answers = (await answer).map(shown);
  assert.deepEqual(answers, [...Array(5).fill("accepted"), ...Array(3).fill("draining")]);
});

test("what a call would be refused for as a whole is refused job by job", async () => {
  const { answer } = start(21);
  assert.deepEqual((await answer).map(shown), Array(21).fill("invalid_argument"));
  const { admission } = tryAdmission({ rates });
  admission.close();
  const options = { signal: new AbortController().signal, onWait: () => undefined };
  assert.deepEqual((await admission.admitSlowly("ada", drafts(1), options)).map(shown), ["draining"]);
});

test("an empty request is refused as a whole: there is no job to answer for", async () => {
  assert.equal((await refusalOf(start(0).answer)).reason, "invalid_argument");
});

test("a store that fails fails the call", async () => {
  const submit = () => Promise.reject(refusal("store_failed", ["disk full"]));
  const { clock, answer } = start(1, { store: { submit } });
  const failed = refusalOf(answer);
  await turn();
  clock.advance(100);
  assert.equal((await failed).reason, "store_failed");
});
