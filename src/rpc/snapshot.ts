/** Composes the responses of `Stats`, `WatchStats` and `ListClients`. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ClientNumbers } from "../engine/watch/client-meters.ts";
import type { Numbers } from "../engine/numbers.ts";
import type { Percentiles } from "../engine/watch/percentiles.ts";
import type { RateLimit } from "../engine/admit/rate-limit.ts";
import type { Stats } from "../engine/watch/stats.ts";
import { keyOf, type TaskNumbers } from "../engine/watch/task-meter.ts";
import {
  type ClientStatsSchema,
  type ResourceStatsSchema,
  type Snapshot,
  SnapshotSchema,
  type TaskStatsSchema,
} from "../gen/millpond/v1/stats_pb.ts";
import type { ResourceHost } from "../pool/resources/host.ts";
import { durationFromMs, toTimestamp } from "./convert/time.ts";
import { fromPause, fromResize } from "./pools.ts";

export type SnapshotParts = ClientStatsParts & {
  readonly numbers: Numbers;
  readonly resources: Pick<ResourceHost, "parts" | "permits">;
};
export type ClientStatsParts = { readonly stats: Stats; readonly rateLimit: RateLimit };

/** The part of a snapshot that is the same for every client, and expensive to compute. */
export type ServerNumbers = Pick<
  MessageInitShape<typeof SnapshotSchema>,
  "uptime" | "pools" | "tasks" | "store" | "resources"
> & {
  /** Number of running jobs by client. */
  readonly runningOf: ReadonlyMap<string, number>;
};

export async function takeSnapshot(parts: SnapshotParts, client: string): Promise<Snapshot> {
  return snapshotFor(parts, await readServerNumbers(parts), client);
}

/** The snapshot of one client, from numbers that several clients may share. */
export function snapshotFor(parts: ClientStatsParts, numbers: ServerNumbers, client: string): Snapshot {
  const { runningOf, ...shared } = numbers;
  const own = clientStats(parts, parts.stats.client(client), runningOf);
  return create(SnapshotSchema, { ...shared, client: own });
}

export async function readServerNumbers({ stats, numbers, resources }: SnapshotParts): Promise<ServerNumbers> {
  const { size, pools: stored } = await numbers.stored();
  const started = numbers.started();
  const runningOfTask = countBy(started, keyOf);
  return {
    uptime: durationFromMs(stats.uptimeMs()),
    store: { sizeBytes: BigInt(size.bytes), freeBytes: BigInt(size.freeBytes) },
    pools: numbers.pools().map(({ isBroken, pause, resize, queued, maxQueued, decisions, ...pool }, index) => {
      const { jobs, eligible = 0, oldestAgeMs = 0, oldestDeadAgeMs = 0 } = stored[index] ?? {};
      return {
        ...pool,
        queued: BigInt(queued),
        maxQueued: BigInt(maxQueued),
        succeeded: BigInt(jobs?.SUCCEEDED ?? 0),
        dead: BigInt(jobs?.DEAD ?? 0),
        cancelled: BigInt(jobs?.CANCELLED ?? 0),
        oldestAge: durationFromMs(oldestAgeMs),
        oldestDeadAge: durationFromMs(oldestDeadAgeMs),
        broken: isBroken,
        ...fromPause(pause),
        ...fromResize(resize),
        eligible: BigInt(eligible),
        decisions: decisions.map(({ at, ...decision }) => ({ ...decision, at: toTimestamp(at) })),
      };
    }),
    tasks: stats.tasks().map((task) => taskStats(task, runningOfTask.get(keyOf(task)) ?? 0)),
    resources: resourceStats(resources),
    runningOf: runningByClient(numbers),
  };
}

export function runningByClient(numbers: Pick<Numbers, "started">): ReadonlyMap<string, number> {
  return countBy(numbers.started(), ({ client }) => client);
}

function resourceStats(host: SnapshotParts["resources"]): MessageInitShape<typeof ResourceStatsSchema>[] {
  const permits = Map.groupBy(host.permits(), ({ resource }) => resource);
  return [...Map.groupBy(host.parts(), ({ resource }) => resource)].map(([resource, parts]) => ({
    resource,
    parts: parts.map(({ part, problem = "", ageMs }) => ({ part, problem, age: durationFromMs(ageMs) })),
    permits: permits.get(resource) ?? [],
  }));
}

function taskStats(numbers: TaskNumbers, running: number): MessageInitShape<typeof TaskStatsSchema> {
  const { accepted, succeeded, failed, retries, dead, cancelled, queueWait, execution, endToEnd, ...rest } = numbers;
  return {
    ...rest,
    ...bigInts({ accepted, succeeded, failed, retries, dead, cancelled }),
    ...percentiles({ queueWait, execution, endToEnd }),
    running,
  };
}

export function clientStats(
  { rateLimit }: Pick<ClientStatsParts, "rateLimit">,
  numbers: ClientNumbers,
  runningOf: ReadonlyMap<string, number>,
): MessageInitShape<typeof ClientStatsSchema> {
  const { client, refusedBy, throttledMs, acceptedPerSecond, finishedPerSecond, ...rest } = numbers;
  const { queueWait, execution, endToEnd, ...counts } = rest;
  const { perSecond, burst } = rateLimit.rateOf(client);
  return {
    ...{ client, acceptedPerSecond, finishedPerSecond },
    ...bigInts(counts),
    ...percentiles({ queueWait, execution, endToEnd }),
    refusedBy: refusedBy.map(({ reason, jobs }) => ({ reason, jobs: BigInt(jobs) })),
    throttled: durationFromMs(throttledMs),
    running: runningOf.get(client) ?? 0,
    ratePerSecond: perSecond,
    burst: perSecond === 0 ? 0 : burst,
  };
}

function countBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}

function bigInts<K extends string>(counts: { readonly [N in K]: number }): { [N in K]: bigint } {
  const all = Object.entries<number>(counts).map(([name, count]) => [name, BigInt(count)]);
  return Object.fromEntries(all) as { [N in K]: bigint };
}

function percentiles<K extends string>(windows: { readonly [N in K]: Percentiles }) {
  const measured = Object.entries<Percentiles>(windows).filter(([, found]) => found !== null);
  return Object.fromEntries(measured.map(([name, found]) => [name, fromPercentiles(found!)])) as {
    [N in K]?: ReturnType<typeof fromPercentiles>;
  };
}

function fromPercentiles({ p50, p90, p99 }: NonNullable<Percentiles>) {
  return { p50: durationFromMs(p50), p90: durationFromMs(p90), p99: durationFromMs(p99) };
}
