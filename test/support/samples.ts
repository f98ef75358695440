/** Leases and ended attempts for tests that need some, and do not care much which. */
import type { Lease, Outcome } from "../../src/job/job.ts";
import type { LogFields } from "../../src/log.ts";
import type { Ended } from "../../src/pool/pool.ts";
import type { LoadedTask } from "../../src/pool/tasks.ts";
import { defaultRetryPolicy } from "../../src/job/backoff.ts";
import { newJob, t0 } from "../store/sample.ts";

let leased = 0;

export function newLease(overrides: Partial<Lease> = {}): Lease {
  leased += 1;
  return { ...newJob(), seq: leased, attempt: 1, fence: 1, crashes: 0, isCancelling: false, ...overrides };
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

/** A task as the loader makes it, in pool `cpu`. */
export function loaded(name: string, definition: Partial<LoadedTask["definition"]> = {}): LoadedTask {
  return {
    definition: { name, pool: "cpu", run: () => null, ...definition },
    name,
    pool: "cpu",
    file: `file:///tasks/${name}.ts`,
    settings: undefined,
    retry: defaultRetryPolicy,
    timeoutMs: 3_600_000,
  };
}

/** A log that keeps its lines. */
export function keptLog() {
  const lines: { readonly level: string; readonly fields: LogFields; readonly text: string }[] = [];
  const at = (level: string) => (fields: LogFields, text: string) => void lines.push({ level, fields, text });
  return { lines, log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") } };
}
