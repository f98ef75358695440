/** `WatchStats`: snapshots at an interval. The server's numbers are read once for all watching clients. */
import { create } from "@bufbuild/protobuf";
import { type Clock, pause } from "../clock.ts";
import { invalid, refusal } from "../errors.ts";
import {
  type WatchStatsRequest,
  type WatchStatsResponse,
  WatchStatsResponseSchema,
} from "../gen/millpond/v1/worker_pool_pb.ts";
import type { CallContext } from "./call.ts";
import { readServerNumbers, type ServerNumbers, snapshotFor, type SnapshotParts } from "./snapshot.ts";

export type StatsWatchParts = SnapshotParts & {
  /** `statsWatches`: bound on the open calls of one client. */
  readonly limits: { readonly statsWatches: number };
  readonly clock: Clock;
  /** Aborts when connections are about to be closed. */
  readonly closing: AbortSignal;
};

const defaultIntervalMs = 1_000;
const minIntervalMs = 100;
/** Maximum age of a watch's numbers: well below the interval, because timers may fire early. */
const maxAgeMs = minIntervalMs / 2;
const maxIntervalMs = 60_000;
/** Each open call adds this to the shortest interval, beyond `minIntervalMs`: at most 1,000 snapshots/s in total. */
const intervalPerCallMs = 1;

export function createStatsWatch(
  parts: StatsWatchParts,
): (request: WatchStatsRequest, call: CallContext) => AsyncGenerator<WatchStatsResponse> {
  const { clock, closing, limits } = parts;
  const openByClient = new Map<string, number>();
  let open = 0;
  let newest: { readonly readAt: number; readonly numbers: Promise<ServerNumbers> } | undefined;

  function count(client: string, change: 1 | -1): void {
    open += change;
    const left = (openByClient.get(client) ?? 0) + change;
    if (left > 0) openByClient.set(client, left);
    else openByClient.delete(client);
  }

  function serverNumbers(): Promise<ServerNumbers> {
    const now = clock.monotonicMs();
    if (!newest || now - newest.readAt >= maxAgeMs) newest = { readAt: now, numbers: readServerNumbers(parts) };
    return newest.numbers;
  }

  return async function* ({ intervalMs }, { client, signal }) {
    const everyMs = parseInterval(intervalMs);
    if ((openByClient.get(client) ?? 0) >= limits.statsWatches) {
      throw refusal("too_many_stats_watches", [client, limits.statsWatches], { retryAfterMs: 1_000 });
    }
    const ended = AbortSignal.any([signal, closing]);
    count(client, 1);
    try {
      while (!ended.aborted) {
        yield create(WatchStatsResponseSchema, { snapshot: snapshotFor(parts, await serverNumbers(), client) });
        await pause(clock, Math.max(everyMs, open * intervalPerCallMs), ended);
      }
    } finally {
      count(client, -1);
    }
  };
}

function parseInterval(intervalMs: number): number {
  if (intervalMs === 0) return defaultIntervalMs;
  if (intervalMs >= minIntervalMs && intervalMs <= maxIntervalMs) return intervalMs;
  const description = `is ${intervalMs} and must be ${minIntervalMs} to ${maxIntervalMs}`;
  throw invalid([{ field: "interval_ms", description }]);
}
