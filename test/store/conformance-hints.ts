import assert from "node:assert/strict";
import { suspectAfterCrashes } from "../../src/job/job.ts";
import type { Store } from "../../src/store/store.ts";
import type { Check } from "./conformance.ts";
import { died, leaseAll, newJob, newJobs, retried, settlement, submit, t0 } from "./sample.ts";

/** Hints that come while this listens, each as a line. Takes them, and leaves none for the next call. */
function listen(store: Store) {
  const heard: string[] = [];
  const stop = store.subscribe({
    due: (pool, at, isSuspect) => void heard.push(`due ${pool} ${at - t0}${isSuspect ? " suspects" : ""}`),
    results: (client, channel) => void heard.push(`results ${client}/${channel}`),
    jobs: (jobs) => void heard.push(`jobs ${jobs.length}`),
    overrides: (pool) => void heard.push(`overrides ${pool}`),
  });
  return { take: () => heard.splice(0), stop };
}

/** The part of the suite about what a process hears of its own calls. */
export function hintsConformance(check: Check): void {
  check("a submit and a settlement hint with the call, so that what follows can share their commit", async (store) => {
    const { take } = listen(store);
    const submitted = submit(store, [...newJobs(2), newJob({ runAt: t0 - 5 }), newJob({ pool: "io", runAt: t0 + 9 })]);
    assert.deepEqual(take(), ["due cpu -5", "due io 9"]);
    await submitted;
    const leases = await leaseAll(store);
    assert.deepEqual(take(), ["jobs 3"]);
    const settled = store.settle([
      settlement(leases[0]!),
      settlement(leases[1]!, { ...retried, runAt: t0 + 7 }),
      settlement(leases[2]!, { ...retried, runAt: t0 + 8, crashes: suspectAfterCrashes }),
    ]);
    assert.deepEqual(take(), ["jobs 3", "results ada/default", "due cpu 7", "due cpu 8 suspects"]);
    await settled;
  });

  check("what is cancelled, redriven or removed is hinted at, where it changed anything", async (store) => {
    await submit(store, [newJob({ channel: "a" }), newJob(), newJob({ channel: null })]);
    const [first, second, third] = await leaseAll(store);
    const { take } = listen(store);
    await store.settle([settlement(first!, died), settlement(third!)]);
    assert.deepEqual(take(), ["jobs 2", "results ada/a"]);
    const ids = [first!.id, second!.id];
    await store.cancel({ client: "ada", ids, now: t0 });
    assert.deepEqual(take(), ["jobs 2"], "one is final, and the other runs");
    await store.redrive({ client: "ada", now: t0, jobs: ids.map((id) => ({ id, runAt: t0 + 3 })) });
    assert.deepEqual(take(), ["due cpu 3", "jobs 2"]);
    await store.cancel({ client: "ada", ids: [first!.id], now: t0 });
    assert.deepEqual(take(), ["results ada/a", "jobs 1"]);
    await store.remove({ client: "ada", ids: [third!.id] });
    assert.deepEqual(take(), ["jobs 1"]);
  });

  check("a change of a pool's overrides is hinted at once it is kept", async (store) => {
    const { take } = listen(store);
    const paused = store.override({ pool: "cpu", pause: { by: "ops", at: t0 } });
    assert.deepEqual(take(), []);
    await paused;
    assert.deepEqual(take(), ["overrides cpu"]);
  });

  check("every listener is notified, and none that has left", async (store) => {
    const [one, other] = [listen(store), listen(store)];
    one.stop();
    await submit(store, newJobs(1));
    assert.deepEqual([one.take(), other.take()], [[], ["due cpu 0"]]);
  });
}
