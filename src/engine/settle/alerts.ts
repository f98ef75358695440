/** Tells people of jobs that died: a line in the log for each, and a webhook if there is one. Never in a job's way. */
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
  /** That of the last attempt. */
  readonly failure: Failure;
  readonly attempts: number;
  /** Of its last lease, and the context that it was submitted in. */
  readonly fence: number;
  readonly trace: string | null;
  /** Milliseconds since 1970. */
  readonly at: number;
};

/** `stop` gives what is on its way to the webhook two seconds. */
export type Alerts = Service & {
  /** Returns at once. */
  died(deaths: readonly Death[]): void;
};

export type AlertsParts = {
  /** Null: alerts go into the log only. */
  readonly webhook: string | null;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly log: Log;
};

/** When more jobs die in one second, the others are counted. */
const linesPerSecond = 20;
const summaryEveryMs = 1_000;

export function createAlerts({ webhook: url, fetch, clock, log }: AlertsParts): Alerts {
  const webhook = url === null ? null : createWebhook({ url, name: "deaths", fetch, clock, log });
  let lines = 0;
  const uncounted = new Map<DeadReason, number>();
  let cancelSummary: (() => void) | undefined;

  function write(death: Death): void {
    if (lines >= linesPerSecond) {
      uncounted.set(death.deadReason, (uncounted.get(death.deadReason) ?? 0) + 1);
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
    if (uncounted.size > 0)
      log.warn(Object.fromEntries(uncounted), "more jobs died; `millpond dead list` has them all");
    uncounted.clear();
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

/** As the webhook gets it. The stack stays here: it is for the job's owner. */
function shown({ id, client, task, pool, deadReason, failure, attempts, at }: Death) {
  const { reason, message } = shownFailure(failure);
  return { id, client, task, pool, deadReason, failure: { reason, message }, attempts, at: new Date(at).toISOString() };
}
