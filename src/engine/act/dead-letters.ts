/** Puts DEAD jobs back into the queue, or removes them. */
import type { Clock } from "../../clock.ts";
import type { JobFilter, Redriven, Removed, Store } from "../../store/store.ts";
import type { LinkedJob } from "../../tracing.ts";
import type { Backlog } from "../admit/backlog.ts";
import { forEachPage, type PageOptions } from "./for-each-page.ts";
import type { Stats } from "../watch/stats.ts";
import type { KeyedMutex } from "../keyed-mutex.ts";

export type DeadLetters = {
  /** One answer per id, in order. `perSecond` of the jobs become due each second; 0: all at once. */
  redrive(client: string, ids: readonly string[], perSecond: number): Promise<readonly Redriven[]>;
  /** Redrives every DEAD job that matches, page by page. */
  redriveWhere(
    client: string,
    filter: JobFilter,
    options: PageOptions & {
      readonly perSecond: number;
      /** Called with the redriven jobs of each page. */
      readonly onRedriven?: (jobs: readonly LinkedJob[]) => void;
    },
  ): Promise<{ readonly matched: number; readonly redriven: number }>;
  /** Removes final jobs of any state; one answer per id, in order. */
  remove(client: string, ids: readonly string[]): Promise<readonly Removed[]>;
  /** Removes every DEAD job that matches, page by page. */
  removeWhere(
    client: string,
    filter: JobFilter,
    options: PageOptions,
  ): Promise<{ readonly matched: number; readonly removed: number }>;
};

export type DeadLettersParts = {
  readonly store: Pick<Store, "find" | "redrive" | "remove">;
  readonly perClient: KeyedMutex;
  readonly clock: Clock;
  readonly backlog: Pick<Backlog, "change">;
  readonly stats: Pick<Stats, "redriven">;
};

export function createDeadLetters(parts: DeadLettersParts): DeadLetters {
  const { store, clock, backlog, stats } = parts;
  const states = ["DEAD"] as const;

  /** The first of these jobs becomes due at `startAt`, and each other one `intervalMs` later than the one before it. */
  async function redrive(
    client: string,
    ids: readonly string[],
    startAt: number,
    intervalMs: number,
  ): Promise<readonly Redriven[]> {
    const jobs = ids.map((id, index) => ({ id, runAt: Math.floor(startAt + index * intervalMs) }));
    const answers = await store.redrive({ client, now: clock.now(), jobs });
    for (const answer of answers) {
      if (answer.kind !== "redriven") continue;
      backlog.change(answer.pool, 1);
      stats.redriven(answer.pool);
    }
    return answers;
  }

  const remove = (client: string, ids: readonly string[]) => store.remove({ client, ids });

  return {
    redrive: (client, ids, perSecond) => redrive(client, ids, clock.now(), intervalOf(perSecond)),
    async redriveWhere(client, filter, { perSecond, onRedriven, ...options }) {
      const startAt = clock.now();
      const intervalMs = intervalOf(perSecond);
      let redriven = 0;
      const matched = await forEachPage(parts, { client, filter, states }, options, async (ids) => {
        const answers = await redrive(client, ids, startAt + redriven * intervalMs, intervalMs);
        const jobs = redrivenOf(ids, answers);
        redriven += jobs.length;
        onRedriven?.(jobs);
      });
      return { matched, redriven };
    },
    remove,
    async removeWhere(client, filter, options) {
      let removed = 0;
      const matched = await forEachPage(parts, { client, filter, states }, options, async (ids) => {
        const answers = await remove(client, ids);
        removed += answers.filter(({ kind }) => kind === "removed").length;
      });
      return { matched, removed };
    },
  };
}

/** The jobs that were redriven. */
export function redrivenOf(ids: readonly string[], answers: readonly Redriven[]): LinkedJob[] {
  return answers.flatMap((answer, index) => {
    return answer.kind === "redriven" ? [{ id: ids[index] as string, trace: answer.trace }] : [];
  });
}

const intervalOf = (perSecond: number) => (perSecond === 0 ? 0 : 1_000 / perSecond);
