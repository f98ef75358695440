/** Leases and ended attempts for tests that need some, and do not care much which. */
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/clock.ts";
import type { EngineParts } from "../../src/engine/engine.ts";
import type { Lease, NewJob, Outcome, Settlement } from "../../src/job/job.ts";
import { decodeLease, encodeJob } from "../../src/job/record.ts";
import { createContexts } from "../../src/job/trace-context.ts";
import { transition } from "../../src/job/transition.ts";
import type { Log, LogFields } from "../../src/log.ts";
import type { Ended } from "../../src/pool/pool.ts";
import type { TaskChecks } from "../../src/pool/checker/checks.ts";
import { createResourceHost } from "../../src/pool/resources/host.ts";
import type { LoadedTask, LoadedTasks, TaskSources } from "../../src/pool/tasks.ts";
import { defaultRetryPolicy } from "../../src/job/backoff.ts";
import { createUntraced } from "../../src/tracing.ts";
import { newJob, t0 } from "../store/sample.ts";

/** Where nothing is exported. */
export const untraced = createUntraced(createContexts({ trace: true, baggage: true }));

/** The rule of a server that has room for every worker. */
export const roomy: EngineParts["scaling"] = {
  ...{ rule: { jobsPerWorker: 5, waitMs: 1_000, idleMs: 30_000 }, pollMs: 100 },
  ceilings: () => ({ workers: 1_024, by: "memory", why: "" }),
  minimaRoom: () => ({ workers: 1_024, why: "" }),
  mostWorkersAt: () => 1_024,
};

let leased = 0;

export function newLease(overrides: Partial<Lease & NewJob> = {}): Lease {
  leased += 1;
  const job = newJob(overrides);
  const { runAt, expiresAt } = job;
  const columns = {
    ...{ seq: leased, attempt: 1, fence: 1, crashes: 0, redrives: 0, startedAt: null, isCancelling: false },
    ...{ runAt, expiresAt, ...overrides },
  };
  const { damage } = overrides;
  return { ...decodeLease(encodeJob(job), columns), ...(damage && { damage }) };
}

export const succeeded: Outcome = { kind: "succeeded", output: null };
export const failedOnce: Outcome = {
  kind: "failed",
  failure: { reason: "task_failed", message: "no luck", retryable: true },
};

/** An attempt that took 3 ms, 5 ms after its job was due. */
export function endedOf(lease: Lease, outcome: Outcome = succeeded, overrides: Partial<Ended> = {}): Ended {
  return { lease, outcome, startedAt: t0 + 5, finishedAt: t0 + 8, tookMs: 3, ...overrides };
}

/** What is written for an attempt, by the default policy. */
export function settlementOf({ lease, outcome, startedAt, finishedAt }: Ended): Settlement {
  return transition(lease, outcome, defaultRetryPolicy, { startedAt, finishedAt }, () => 0);
}

/** A task as the loader makes it, in pool `cpu`. */
export function loaded(name: string, overrides: Partial<LoadedTask> = {}): LoadedTask {
  return {
    name,
    pool: "cpu",
    description: "",
    file: `file:///tasks/${name}.ts`,
    input: undefined,
    output: undefined,
    inputShape: undefined,
    outputShape: undefined,
    settings: undefined,
    resources: [],
    retry: defaultRetryPolicy,
    timeoutMs: 3_600_000,
    hasCheck: false,
    ...overrides,
  };
}

/** For engines whose tasks have no checks. */
export const noChecks: TaskChecks = { check: async (inputs) => inputs.map(() => null) };

/** Loads the tasks of a folder in this thread, as the built-in ones are. */
export async function loadHere(folder: URL, sources: Partial<TaskSources> = {}): Promise<LoadedTasks> {
  const { loadTasks } = await import("../../src/pool/tasks.ts"); // half of what this file would load, and few tests need it
  return loadTasks({
    ...{ builtIn: [fileURLToPath(folder)], folders: [], pools: ["cpu", "io"], settings: {}, resourceSettings: {} },
    ...{ loadMs: 30_000, checkMs: 1_000, clock: systemClock, log: keptLog().log },
    ...sources,
  });
}

/** For pools whose tasks use no resources. */
export const noResources = createResourceHost({
  ...{ resources: [], clock: systemClock, onChanged() {} },
  log: keptLog().log,
});

/** A log that keeps its lines. */
export function keptLog() {
  const lines: { readonly level: string; readonly fields: LogFields; readonly text: string }[] = [];
  const at = (level: string) => (fields: LogFields, text: string) => void lines.push({ level, fields, text });
  const log: Log = {
    ...{ debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    isWritten: () => true,
  };
  return { lines, log };
}
