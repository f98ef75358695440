/** The jobs of a stream whose results are not sent yet: the stream ends after the last of them. */
import type { Admitted } from "../../engine/admit/admission.ts";
import type { Store } from "../../store/store.ts";
import { createChange } from "../change.ts";

export type PendingResults = {
  size(): number;
  /** Adds jobs whose results are pending from now on. Returns the ids of those that were submitted before. */
  expect(admitted: readonly Admitted[]): string[];
  /** Removes jobs whose results were sent. */
  sent(results: readonly { readonly id: string }[]): void;
  /** Removes those of the jobs whose results were sent, or never will be because they are acknowledged or pruned. */
  forgetFinal(ids: Iterable<string>): Promise<void>;
  /** The same for all pending jobs, if results were skipped since the last call. */
  forgetSkipped(): Promise<void>;
  /** Records that results were skipped, so that the result of a pending job may never come. */
  skipped(): void;
  /** Resolves when the number of pending jobs has decreased. */
  fewer(): Promise<void>;
};

export type PendingResultsParts = {
  readonly store: Pick<Store, "get">;
  readonly client: string;
  readonly channel: string;
  /** Results up to this cursor were sent or skipped. */
  readonly cursor: () => number;
};

export function createPendingResults({ store, client, channel, cursor }: PendingResultsParts): PendingResults {
  const ids = new Set<string>();
  const change = createChange();
  let hasSkipped = false;

  function forget(id: string): void {
    if (ids.delete(id)) change.happened();
  }

  const pending: PendingResults = {
    size: () => ids.size,

    expect(admitted) {
      const repeated: string[] = [];
      for (const each of admitted) {
        if (each.kind === "refused" || each.channel !== channel) continue;
        if (each.kind === "duplicate") {
          if (each.finalCursor !== null && each.finalCursor <= cursor()) continue;
          repeated.push(each.id);
        }
        ids.add(each.id);
      }
      return repeated;
    },

    sent(sent) {
      const before = ids.size;
      for (const { id } of sent) ids.delete(id);
      if (ids.size < before) change.happened();
    },

    async forgetFinal(candidates) {
      for (const id of candidates) {
        if (!ids.has(id)) continue;
        const job = await store.get({ client, id });
        if (!job || (job.cursor !== null && job.cursor <= cursor())) forget(id);
      }
    },

    async forgetSkipped() {
      while (hasSkipped) {
        hasSkipped = false;
        await pending.forgetFinal([...ids]);
      }
    },

    skipped() {
      hasSkipped = true;
    },
    fewer: change.next,
  };
  return pending;
}
