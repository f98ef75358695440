/** Each pool passes the conformance suite of the port. */
import type { TestContext } from "node:test";
import type { Lease, Outcome } from "../../src/job/job.ts";
import { createIsolatedPool } from "../../src/pool/isolated/pool.ts";
import { createReloadablePool } from "../../src/pool/reloadable.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { keptLog, noResources } from "../support/samples.ts";
import { poolConformance } from "./conformance.ts";
import { createFakePool, type FakeAttempt, type FakeTasks } from "./fake-pool.ts";
import { allTasks, json, maxOutputBytes, tryPool } from "./try-pool.ts";
import { inputOf } from "../store/sample.ts";

const code = { tasks: allTasks, sources: null };
/** Threads judge deadlines by the machine's clock. */
const newClock = () => createFakeClock(Date.now());

poolConformance({
  name: "threads that park between jobs",
  open(t, { min, max }, graceMs, idleMs) {
    const clock = newClock();
    const options = { clock, graceMs, idleMs, minWorkers: min, maxWorkers: max };
    return { pool: tryPool(t, { work: "cpu", ...options }).bare, clock };
  },
});

poolConformance({
  name: "a reloadable pool of threads that do not park",
  open(t, { min, max }, graceMs, idleMs) {
    const clock = newClock();
    const options = { clock, graceMs, idleMs, minWorkers: min, maxWorkers: max };
    const make = () => tryPool(t, { work: "io", ...options }).bare;
    return { pool: createReloadablePool(make, code), clock };
  },
});

poolConformance({
  name: "threads that run four jobs each at once",
  open(t, size, graceMs, idleMs) {
    const clock = newClock();
    const bounds = { minWorkers: size.min, maxWorkers: size.max };
    return { pool: tryPool(t, { work: "io", concurrency: 4, clock, graceMs, idleMs, ...bounds }).bare, clock };
  },
});

poolConformance({
  name: "processes",
  open(t, { min, max }, graceMs) {
    const clock = newClock();
    const pool = createIsolatedPool({
      ...{ name: "tried", work: "io", resourceHost: noResources, code: () => code, clock, log: keptLog().log },
      ...{ loadMs: 30_000, graceMs, maxProcesses: max },
      outputBounds: { maxBytes: maxOutputBytes, maxValues: 100 },
    });
    t.after(() => pool.destroy());
    pool.resize({ min, max });
    return { pool, clock };
  },
  skips: {
    chunks: "each job runs alone, in a process of its own",
    minimum: "a process lives as long as its job",
    deadlines: "the process judges them by its own clock, which a test cannot move",
  },
});

poolConformance({
  name: "the tests' fake",
  open(t: TestContext, workers, graceMs, idleMs) {
    const clock = newClock();
    const pool = createFakePool({ workers, clock, graceMs, idleMs, name: "tried", tasks: asInFolder });
    t.after(() => pool.destroy());
    return { pool, clock };
  },
});

/** What the tasks in ./tasks do that the suite asks for. */
const asInFolder: FakeTasks = {
  begin(attempt) {
    const { task } = attempt.lease;
    const how = textOf(attempt.lease);
    if (task === "echo") attempt.end({ kind: "succeeded", output: inputOf(attempt.lease) });
    else if (task === "throws") attempt.end(failed("too_old"));
    else if (task === "dies") attempt.die();
    else if (task === "names") {
      attempt.report({ kind: "progress", progress: { fraction: 0.5, note: "half" } });
      log(attempt, "here");
    } else log(attempt, how);
  },
  onStop(attempt) {
    const how = textOf(attempt.lease);
    if (how === "finish") attempt.end({ kind: "succeeded", output: json("done") });
    else if (how !== "deaf") attempt.end(failed("own"));
  },
};

const textOf = (lease: Lease): unknown => JSON.parse(Buffer.from(inputOf(lease)?.bytes ?? []).toString());

function failed(reason: string): Outcome {
  return { kind: "failed", failure: { reason, message: reason, retryable: false } };
}

function log(attempt: FakeAttempt, text: unknown): void {
  attempt.report({ kind: "log", level: "info", text: String(text), fields: {} });
}
