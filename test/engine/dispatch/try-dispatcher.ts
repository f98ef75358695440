/** A dispatcher of a fake pool on a memory store, and a settler that writes at once. */
import type { TestContext } from "node:test";
import { createBacklog } from "../../../src/engine/admit/backlog.ts";
import { createDispatcher, type DispatcherParts } from "../../../src/engine/dispatch/dispatcher.ts";
import { defaultRetryPolicy } from "../../../src/job/backoff.ts";
import { isUnavailable } from "../../../src/errors.ts";
import { transition } from "../../../src/job/transition.ts";
import type { Ended } from "../../../src/pool/pool.ts";
import type { Bounds } from "../../../src/pool/size.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import type { LeaseRequest, Leased } from "../../../src/store/store.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";
import { newJobs, settling, submit, t0 } from "../../store/sample.ts";
import { createFakePool } from "../../pool/fake-pool.ts";

export function tryDispatcher(
  t: TestContext,
  overrides: Partial<DispatcherParts> & { readonly workers?: number | Bounds } = {},
) {
  const { workers = 2, ...parts } = overrides;
  const clock = createFakeClock(t0);
  const store = createMemoryStore();
  const pool = createFakePool({ workers, clock });
  const backlog = createBacklog(store, new Map([["cpu", 1_000_000]]));
  const asked: LeaseRequest[] = [];
  const settled: Ended[] = [];
  const errors: unknown[] = [];
  const { log, lines } = keptLog();
  /** Calls of the store that have no answer yet. */
  const underWay = new Set<Promise<unknown>>();
  let calls = 0;
  /** Counts a call of the store, and waits for it where the test waits for `rest`. */
  function watched<T>(call: Promise<T>): Promise<T> {
    calls += 1;
    underWay.add(call);
    const isOver = () => void underWay.delete(call);
    call.then(isOver, isOver);
    return call;
  }
  /** Set to hold the answers of the store back until it is called. */
  let hold: Promise<void> | undefined;
  const dispatcher = createDispatcher({
    pool,
    suspects: false,
    backlog,
    clock,
    polling: { clock, everyMs: 1_000, random: () => 0 },
    owner: "boot",
    leaseMs: 30_000,
    maxChunk: 128,
    log,
    onEvent() {},
    onWork() {},
    hasTask: () => true,
    isBehind: () => false,
    onError(error) {
      errors.push(error);
      return isUnavailable(error) ? 1_000 : undefined;
    },
    store: {
      lease(request): Promise<Leased> {
        asked.push(request);
        const answer = store.lease(request);
        return watched(hold ? hold.then(() => answer) : answer);
      },
    },
    settle(ended) {
      settled.push(...ended);
      const none = { ...defaultRetryPolicy, jitter: "none" as const };
      void watched(
        store.settle(
          ended.map(({ lease, outcome, ...span }) =>
            settling(
              lease,
              transition(lease, outcome, none, span, () => 0),
            ),
          ),
        ),
      );
    },
    ...parts,
  });
  t.after(async () => {
    const stopped = dispatcher.stop();
    for (; pool.held.length > 0; await turn()) pool.endAll();
    await stopped;
  });
  return {
    ...{ dispatcher, clock, store, pool, backlog, asked, settled, errors, lines, log },
    /** Puts jobs into the store as admission does, without a hint. */
    async put(count: number, job: Parameters<typeof newJobs>[1] = {}) {
      await submit(store, newJobs(count, job));
      backlog.change("cpu", count);
    },
    /** Waits until the dispatcher has done all that it can before time passes, a job ends, or it gets a hint. */
    async rest() {
      for (let before = -1; before !== calls || underWay.size > 0; ) {
        before = calls;
        await Promise.allSettled(underWay);
        await turn(); // what the answers set off
      }
    },
    /** From now on leases are answered only after `release`. */
    holdAnswers() {
      const { promise, resolve } = Promise.withResolvers<void>();
      hold = promise;
      return function release() {
        hold = undefined;
        resolve();
      };
    },
    /** Leases of all chunks that are running. */
    leased: () => pool.held.flatMap(({ leases }) => leases),
  };
}
