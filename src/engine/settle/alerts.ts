/** Alerts about jobs that died: a log line for each, and a webhook if configured. Never delays a job. */
import type { Clock } from "../../clock.ts";
import type { DeadReason, Failure } from "../../job/job.ts";
import { traceFields } from "../../job/log-fields.ts";
import { shownFailure } from "../../job/shown-failure.ts";
import type { Service } from "../../lifecycle.ts";
import type { Log } from "../../log.ts";
import { createWebhook, type Fetch } from "./webhook.ts";

/** A job that became DEAD. */
export type Death = {
  readonly id: string;
  readonly client: string;
  readonly task: string;
  readonly pool: string;
  readonly deadReason: DeadReason;
  /** The failure of the last attempt. */
  readonly failure: Failure;
  readonly attempts: number;
  /** Fence of its last lease. */
  readonly fence: number;
  /** The trace context that it was submitted with. */
  readonly trace: string | null;
  /** Milliseconds since 1970. */
  readonly at: number;
};

/** `stop` waits up to two seconds for pending alerts to reach the webhook. */
export type Alerts = Service & {
  /** Returns at once. */
  died(deaths: readonly Death[]): void;
};

export type AlertsParts = {
  /** Null: alerts are only logged. */
  readonly webhook: string | null;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly log: Log;
};

/** Bound on log lines per second: further deaths are only counted. */
const linesPerSecond = 20;
const summaryEveryMs = 1_000;

export function createAlerts({ webhook: url, fetch, clock, log }: AlertsParts): Alerts {
  const webhook = url === null ? null : createWebhook({ url, name: "deaths", fetch, clock, log });
  let lines = 0;
  /** Deaths without a line of their own. */
  const unlogged = new Map<DeadReason, number>();
  let cancelSummary: (() => void) | undefined;

  function write(death: Death): void {
    if (lines >= linesPerSecond) {
      unlogged.set(death.deadReason, (unlogged.get(death.deadReason) ?? 0) + 1);
      return;
    }
    lines += 1;
    const { id: job, client, task, pool, deadReason, failure, attempts } = death;
    const facts = { job, client, task, pool, deadReason, attempts };
    log.warn({ ...facts, ...shownFailure(failure), ...traceFields(death) }, "a job died");
  }

  function summarise(): void {
    cancelSummary = undefined;
    lines = 0;
    if (unlogged.size > 0) log.warn(Object.fromEntries(unlogged), "more jobs died; `millpond dead list` has them all");
    unlogged.clear();
  }

  return {
    name: "alerts",
    async start() {},
    died(deaths) {
      if (deaths.length === 0) return;
      cancelSummary ??= clock.after(summaryEveryMs, summarise);
      for (const death of deaths) write(death);
      webhook?.enqueue(deaths.map(shown));
    },
    async stop() {
      cancelSummary?.();
      summarise();
      await webhook?.stop();
    },
  };
}

/** A death as the webhook gets it, without the stack, which is only for the job's owner. */
function shown({ id, client, task, pool, deadReason, failure, attempts, at }: Death) {
  const { reason, message } = shownFailure(failure);
  return { id, client, task, pool, deadReason, failure: { reason, message }, attempts, at: new Date(at).toISOString() };
}
