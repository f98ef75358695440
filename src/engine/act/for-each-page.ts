/** Goes through all jobs that match a filter, page by page. */
import type { FindRequest, Store } from "../../store/store.ts";
import type { WaitingLines } from "../keyed-mutex.ts";

/** `dryRun`: only count. When the signal aborts, what is under way is finished and nothing more is begun. */
export type Sweep = { readonly dryRun: boolean; readonly signal: AbortSignal };

export type PageParts = {
  readonly store: Pick<Store, "find">;
  /** Each client goes through its jobs once at a time: each page keeps the store from what others ask of it. */
  readonly sweeps: WaitingLines;
};

/** Jobs of one page: a call to the store that writes so many takes a few milliseconds. */
const pageJobs = 1_000;

/**
 * Calls `act` with the ids of each page, one page after the other; resolves with the number of jobs that matched. The next
 * page is looked for while one is acted on: the store has the two calls in this order, and commits once.
 */
export async function eachPage(
  { store, sweeps }: PageParts,
  request: Omit<FindRequest, "afterSeq" | "limit">,
  sweep: Sweep,
  act: (ids: readonly string[]) => Promise<void>,
): Promise<number> {
  const leave = await sweeps.enter(request.client, sweep.signal);
  try {
    return await goThrough(store, request, sweep, act);
  } finally {
    leave();
  }
}

async function goThrough(
  store: Pick<Store, "find">,
  request: Omit<FindRequest, "afterSeq" | "limit">,
  { dryRun, signal }: Sweep,
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
