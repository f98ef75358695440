/** Acts on all jobs that match a filter, page by page. */
import type { FindRequest, Store } from "../../store/store.ts";
import type { KeyedMutex } from "../keyed-mutex.ts";

/** `dryRun`: only counts. When the signal aborts, the current page is finished and no other is started. */
export type PageOptions = { readonly dryRun: boolean; readonly signal: AbortSignal };

export type PageParts = {
  readonly store: Pick<Store, "find">;
  /** Runs one such call per client at a time, because each page occupies the store. */
  readonly perClient: KeyedMutex;
};

/** Jobs per page: a call that writes this many occupies the store for a few milliseconds. */
const pageJobs = 1_000;

/**
 * Calls `act` with the ids of each page, one page after the other; resolves with the number of matching jobs. The next
 * page is read while `act` runs: the store gets the two calls in this order, and commits once.
 */
export async function forEachPage(
  { store, perClient }: PageParts,
  request: Omit<FindRequest, "afterSeq" | "limit">,
  options: PageOptions,
  act: (ids: readonly string[]) => Promise<void>,
): Promise<number> {
  const unlock = await perClient.lock(request.client, options.signal);
  try {
    return await goThrough(store, request, options, act);
  } finally {
    unlock();
  }
}

async function goThrough(
  store: Pick<Store, "find">,
  request: Omit<FindRequest, "afterSeq" | "limit">,
  { dryRun, signal }: PageOptions,
  act: (ids: readonly string[]) => Promise<void>,
): Promise<number> {
  const find = (afterSeq: number) => store.find({ ...request, afterSeq, limit: pageJobs });
  let matched = 0;
  if (signal.aborted) return matched;
  let found = await find(0);
  while (!signal.aborted) {
    const { ids, nextSeq } = found;
    matched += ids.length;
    const acting = dryRun || ids.length === 0 ? undefined : act(ids);
    if (nextSeq === null) {
      await acting;
      break;
    }
    [, found] = await Promise.all([acting, find(nextSeq)]);
  }
  return matched;
}
