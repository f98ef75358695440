/** Rules behind the configuration that need neither its schema nor its file format. */
import { BlockList, isIP } from "node:net";

/** The kind of work a pool is for; it decides the number of workers if that is not configured. */
type Work = "cpu" | "io" | "mixed" | "limited";

/** A pool with its size. */
export type PoolConfig = {
  readonly work: Work;
  /** At most `maxWorkers`. */
  readonly minWorkers: number;
  /** 1..`mostWorkers`. */
  readonly maxWorkers: number;
  /** Jobs that one worker runs at once; more than 1 only where `work` is not `cpu`. */
  readonly concurrency: number;
  /** Bound on the jobs waiting. */
  readonly maxQueued: number;
};

type Listener = { readonly host: string; readonly port: number };
type GivenPool = {
  readonly work?: Work | undefined;
  readonly workers?: number | { readonly min: number; readonly max: number } | undefined;
  readonly concurrency?: number | undefined;
  readonly maxQueued: number;
};

/** Most workers of a pool. */
export const mostWorkers = 1024;
/** Most jobs of a pool that run at once, over all its workers: each has a slot in their shared memory. */
const maxAtOnce = 32_768;
/** While a job waits for the network, its worker runs others. */
const ioConcurrency = 32;

const workersPerCore = { cpu: 1, mixed: 2, io: 4 } as const;

/** The pool with its size, or what is wrong with it, as the second half of a sentence. */
export function sizePool(
  name: string,
  { work: given, workers, concurrency: givenConcurrency, maxQueued }: GivenPool,
  cores: number,
): PoolConfig | string {
  const work = given ?? (name === "cpu" || name === "io" ? name : undefined);
  if (work === undefined) return "has no work: must be one of cpu, io, mixed, limited";
  if (workers === undefined && work === "limited") {
    return "has no workers: a limited pool needs as many as the limit outside allows, such as workers: 25";
  }
  const concurrency = givenConcurrency ?? (work === "io" ? ioConcurrency : 1);
  const sized = (minWorkers: number, maxWorkers: number) =>
    wrongConcurrency(work, concurrency, maxWorkers) ?? { work, minWorkers, maxWorkers, concurrency, maxQueued };
  if (typeof workers === "object") return sized(workers.min, workers.max);
  // a default: a thread costs 26 MiB, so none starts before there is work for it
  const maxWorkers = workers ?? cores * workersPerCore[work as keyof typeof workersPerCore];
  return sized(workers ?? 0, maxWorkers);
}

/** Upper bound on the workers of a pool with this `concurrency`. */
export function mostWorkersAt(concurrency: number): number {
  return Math.min(mostWorkers, Math.floor(maxAtOnce / concurrency));
}

function wrongConcurrency(work: Work, concurrency: number, maxWorkers: number): string | undefined {
  if (work === "cpu" && concurrency > 1)
    return `has concurrency ${concurrency}: must be 1 where work is cpu, because jobs that compute in one worker wait for each other`;
  if (maxWorkers <= mostWorkersAt(concurrency)) return undefined;
  const most = Math.floor(maxAtOnce / maxWorkers);
  return `has concurrency ${concurrency}: must be 1 to ${most} with ${maxWorkers} workers, because a pool runs at most ${maxAtOnce} jobs at once`;
}

/** Whether only this machine can reach the address. A name other than `localhost` counts as one that others can reach. */
export function isLoopback(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return host.toLowerCase() === "localhost";
  const loopback = new BlockList();
  loopback.addSubnet("127.0.0.0", 8, "ipv4");
  loopback.addAddress("::1", "ipv6");
  return loopback.check(host, family === 4 ? "ipv4" : "ipv6");
}

/** Whether both would listen on the same port of the same address; 0 is any free port and never clashes. */
export function portClash(a: Listener, b: Listener): boolean {
  return a.port !== 0 && a.port === b.port && a.host === b.host;
}

/** A value as a message shows it, at most 60 characters. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
