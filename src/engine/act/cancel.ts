/** Cancels jobs: waiting ones in the store, and running ones through their pool. */
import type { Clock } from "../../clock.ts";
import type { CancelledJob, Tracing } from "../../tracing.ts";
import type { Cancelled, JobFilter, Store } from "../../store/store.ts";
import type { Backlog } from "../admit/backlog.ts";
import { forEachPage, type PageOptions } from "./for-each-page.ts";
import type { Stats } from "../watch/stats.ts";
import type { KeyedMutex } from "../keyed-mutex.ts";

export type CancelCounts = { readonly matched: number; readonly cancelled: number; readonly cancelling: number };

export type Canceller = {
  /** One answer per id, in order. Resolves once it is durable and running jobs were asked to stop. */
  cancel(client: string, ids: readonly string[]): Promise<readonly Cancelled[]>;
  /** Cancels every waiting or running job that matches, page by page, until the end or until the signal aborts. */
  cancelWhere(client: string, filter: JobFilter, options: PageOptions): Promise<CancelCounts>;
};

export type CancellerParts = {
  readonly store: Pick<Store, "cancel" | "find">;
  readonly perClient: KeyedMutex;
  readonly clock: Clock;
  readonly backlog: Pick<Backlog, "change">;
  readonly stats: Pick<Stats, "cancelled">;
  readonly tracing: Pick<Tracing, "cancelled">;
  /** Asks a job of this pool to stop if this server runs it. */
  readonly stop: (pool: string, seq: number) => void;
};

export function createCanceller(parts: CancellerParts): Canceller {
  const { store, clock, backlog, stats, tracing } = parts;

  async function cancel(client: string, ids: readonly string[]): Promise<readonly Cancelled[]> {
    const answers = await store.cancel({ client, ids, now: clock.now() });
    const waited: CancelledJob[] = [];
    for (const [index, answer] of answers.entries()) {
      if (answer.kind === "cancelling") parts.stop(answer.pool, answer.seq);
      if (answer.kind !== "cancelled") continue;
      backlog.change(answer.pool, -1);
      stats.cancelled(client, answer);
      waited.push({ ...answer, id: ids[index] as string, client });
    }
    tracing.cancelled(waited);
    return answers;
  }

  return {
    cancel,
    async cancelWhere(client, filter, options) {
      const counts = { cancelled: 0, cancelling: 0 };
      const request = { client, filter, states: ["QUEUED", "RUNNING"] as const };
      const matched = await forEachPage(parts, request, options, async (ids) => {
        for (const { kind } of await cancel(client, ids)) {
          if (kind === "cancelled" || kind === "cancelling") counts[kind] += 1;
        }
      });
      return { matched, ...counts };
    },
  };
}
