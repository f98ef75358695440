/** Puts together what `Stats` and `WatchStats` show. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Clock } from "../clock.ts";
import type { Backlog } from "../engine/backlog.ts";
import type { EnginePool } from "../engine/engine.ts";
import type { RateLimit } from "../engine/rate-limit.ts";
import type { Percentiles, Stats } from "../engine/stats.ts";
import { type Snapshot, SnapshotSchema } from "../gen/millpond/v1/stats_pb.ts";
import type { Store } from "../store/store.ts";
import { durationFromMs } from "./convert/time.ts";

export type SnapshotParts = {
  readonly store: Pick<Store, "counts" | "oldest" | "size">;
  readonly stats: Stats;
  readonly backlog: Backlog;
  readonly rateLimit: RateLimit;
  readonly clock: Clock;
  /** Jobs of a pool that run, or have ended and that is not written yet. */
  readonly running: (pool: string) => number;
  readonly pools: readonly EnginePool[];
};

/** What a snapshot shows to every client alike: the expensive part. */
export type ServerNumbers = Pick<MessageInitShape<typeof SnapshotSchema>, "uptime" | "pools" | "tasks" | "store">;

export async function takeSnapshot(parts: SnapshotParts, client: string): Promise<Snapshot> {
  return snapshotFor(parts, await readServerNumbers(parts), client);
}

/** The snapshot of one client, from numbers that may serve several. */
export function snapshotFor(
  { stats, rateLimit }: Pick<SnapshotParts, "stats" | "rateLimit">,
  numbers: ServerNumbers,
  client: string,
): Snapshot {
  const { perSecond, burst } = rateLimit.rateOf(client);
  const { accepted, refused } = stats.client(client);
  return create(SnapshotSchema, {
    ...numbers,
    client: {
      client,
      accepted: BigInt(accepted),
      refused: BigInt(refused),
      ratePerSecond: perSecond,
      burst: perSecond === 0 ? 0 : burst,
    },
  });
}

export async function readServerNumbers(parts: SnapshotParts): Promise<ServerNumbers> {
  const { store, stats, backlog, clock } = parts;
  const now = clock.now();
  const names = parts.pools.map(({ pool }) => pool.name);
  const [counts, oldest, size] = await Promise.all([store.counts(), store.oldest({ pools: names, now }), store.size()]);
  return {
    uptime: durationFromMs(stats.uptimeMs()),
    store: { sizeBytes: BigInt(size.bytes), freeBytes: BigInt(size.freeBytes) },
    pools: parts.pools.map(({ pool, dispatcher, suspects }, index) => {
      const count = counts.pools.find((each) => each.pool === pool.name);
      const { dueAt = null, diedAt = null } = oldest[index] ?? {};
      return {
        pool: pool.name,
        queued: BigInt(backlog.queued(pool.name)),
        maxQueued: BigInt(backlog.limit(pool.name)),
        running: parts.running(pool.name),
        workers: pool.workers(),
        suspects: suspects.dispatcher.running(),
        minWorkers: pool.minWorkers,
        maxWorkers: pool.maxWorkers,
        succeeded: BigInt(count?.SUCCEEDED ?? 0),
        dead: BigInt(count?.DEAD ?? 0),
        cancelled: BigInt(count?.CANCELLED ?? 0),
        oldestAge: durationFromMs(
          now -
            [...dispatcher.waiting(), ...suspects.dispatcher.waiting()].reduce(
              (at, { runAt }) => Math.min(at, runAt),
              dueAt ?? now,
            ),
        ),
        oldestDeadAge: durationFromMs(diedAt === null ? 0 : now - diedAt),
        broken: !pool.canRun(),
      };
    }),
    tasks: stats.tasks().map(({ succeeded, failed, queueWait, execution, ...task }) => ({
      ...task,
      succeeded: BigInt(succeeded),
      failed: BigInt(failed),
      ...(queueWait && { queueWait: fromPercentiles(queueWait) }),
      ...(execution && { execution: fromPercentiles(execution) }),
    })),
  };
}

function fromPercentiles({ p50, p90, p99 }: NonNullable<Percentiles>) {
  return { p50: durationFromMs(p50), p90: durationFromMs(p90), p99: durationFromMs(p99) };
}
