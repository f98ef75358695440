/** What happens in a simulation: drawn from the seed before anything runs, so that steps can be left out one by one. */
import { createRandom, type Random } from "../random.ts";

export type Plan = { readonly seed: number; readonly setting: Setting; readonly steps: readonly Step[] };

/** How the server is configured, and how its disk behaves. */
export type Setting = {
  readonly workers: { readonly cpu: number; readonly io: number };
  readonly maxChunk: number;
  readonly leaseMs: number;
  readonly graceMs: number;
  readonly drainMs: number;
  /** Null: no limit. */
  readonly rate: { readonly perSecond: number; readonly burst: number } | null;
  readonly maxQueued: number;
  /** How long finished jobs are kept once their result is acknowledged. */
  readonly acknowledgedMs: number;
  readonly diskMs: number;
};

export type Step = { readonly afterMs: number } & (
  | { readonly kind: "submit"; readonly jobs: readonly JobPlan[] }
  | { readonly kind: "again" | "cancel" | "redrive" | "remove"; readonly job: JobPlan }
  | { readonly kind: "reopen" | "cancelAll" | "redriveAll"; readonly client: string }
  | { readonly kind: "crash" | "power" | "stop" | "io"; readonly downMs: number }
  | { readonly kind: "stall" | "freeze" | "jump"; readonly ms: number }
  | { readonly kind: "takeover"; readonly frozenMs: number; readonly sharedMs: number }
  | { readonly kind: "murder"; readonly pool: PoolName }
  | { readonly kind: "wait" }
);
export type StepKind = Step["kind"];
export type PoolName = "cpu" | "io";

export type JobPlan = {
  readonly id: string;
  readonly client: string;
  /** Null: its result is not wanted. */
  readonly channel: string | null;
  readonly pool: PoolName;
  readonly input: string;
  /** Empty: none. */
  readonly key: string;
  readonly delayMs: number;
  /** From its start on; null: none. */
  readonly deadlineMs: number | null;
  readonly timeoutMs: number | null;
  readonly priority: number;
  readonly maxAttempts: number;
  readonly retry: { readonly baseMs: number; readonly jitter: "full" | "none" } | null;
  /** One execution after the other; those beyond succeed at once. */
  readonly runs: readonly Behaviour[];
};

/** `die`: it takes its thread with it. `kill`: its whole process. `later`: it fails and asks for a delay. */
export type Behaviour = {
  readonly how: "succeed" | "fail" | "permanent" | "later" | "die" | "kill";
  readonly ms: number;
  /** Whether it stops when it is told to. */
  readonly obeys: boolean;
  readonly laterMs: number;
};

/** No jump of the clock reaches so far. */
const keptForEver = 1e12;

export const clients = ["ada", "bob"] as const;
export const channels = ["default", "other"] as const;

export function planOf(seed: number): Plan {
  const random = createRandom(`simulation ${seed}`);
  const isShared = random.isLucky(0.2);
  const isQuick = random.isLucky(0.1);
  const setting = {
    ...settingOf(random),
    ...(isQuick && { rate: null, maxQueued: 1_000, maxChunk: 16 }),
    ...(isShared && { acknowledgedMs: keptForEver }),
  };
  const jobs: JobPlan[] = [];
  const count = random.integer(10, 40);
  const steps = Array.from({ length: count }, (_, index): Step => {
    const afterMs = random.isLucky(0.3) ? 0 : random.isLucky(0.8) ? random.integer(0, 60) : random.integer(60, 900);
    return { afterMs, ...eventOf(random, jobs, index === 0, isShared) };
  });
  return { seed, setting, steps: isQuick ? [{ afterMs: 10, ...burstOf(random) }, ...steps] : steps };
}

/** So many jobs that take next to no time that the server sends them to its workers in chunks from then on. */
function burstOf(random: Random): Untimed<Step> {
  const client = random.pick(clients);
  const jobs = Array.from({ length: random.integer(30, 60) }, (_, index): JobPlan => {
    const number = quickStart + index;
    // by the thirtieth the server knows them; one that takes its time then keeps its neighbours waiting
    const runs = [index > 30 && random.isLucky(0.2) ? { ...behaviourOf(random), ms: random.integer(1, 100) } : quick];
    return {
      ...jobOf(random, []),
      id: idOf(number),
      client,
      input: `quick ${number}`,
      key: "",
      pool: "cpu",
      delayMs: 0,
      runs,
    };
  });
  return { kind: "submit", jobs };
}

function settingOf(random: Random): Setting {
  return {
    workers: { cpu: random.integer(1, 3), io: random.integer(1, 2) },
    maxChunk: random.pick([1, 4, 16]),
    leaseMs: random.integer(300, 1_500),
    graceMs: random.integer(20, 200),
    drainMs: random.integer(0, 300),
    rate: random.isLucky(0.3) ? { perSecond: random.integer(5, 40), burst: random.integer(4, 12) } : null,
    maxQueued: random.isLucky(0.2) ? random.integer(3, 8) : 1_000,
    acknowledgedMs: random.isLucky(0.3) ? 1_500 : keptForEver,
    diskMs: random.pick([0.2, 2, 20, 60]),
  };
}

type Untimed<S> = S extends Step ? Omit<S, "afterMs"> : never;

function eventOf(random: Random, jobs: JobPlan[], isFirst: boolean, isShared: boolean): Untimed<Step> {
  const drawn = isFirst ? 0 : random.next();
  if (drawn < 0.34) {
    const batch = Array.from({ length: random.isLucky(0.3) ? random.integer(2, 6) : 1 }, () => jobOf(random, jobs));
    return { kind: "submit", jobs: batch.filter(({ client }) => client === batch[0]!.client) };
  }
  const job = random.pick(jobs);
  const downMs = random.integer(0, 400);
  if (drawn < 0.38) return { kind: "again", job };
  if (drawn < 0.5) return { kind: "cancel", job };
  if (drawn < 0.55) return { kind: "redrive", job };
  if (drawn < 0.57) return { kind: random.pick(["redriveAll", "cancelAll"]), client: random.pick(clients) };
  // a submit that the sleeper has in hand would bring back a job that is gone
  if (drawn < 0.61) return isShared ? { kind: "wait" } : { kind: "remove", job };
  if (drawn < 0.64) return { kind: "reopen", client: random.pick(clients) };
  if (drawn < 0.72) return { kind: "crash", downMs };
  if (drawn < 0.74) return { kind: "power", downMs };
  if (drawn < 0.78) return { kind: "stop", downMs };
  if (drawn < 0.8) return { kind: "io", downMs };
  if (drawn < 0.83) return { kind: "stall", ms: random.integer(50, 2_500) };
  if (drawn < 0.87) return { kind: "freeze", ms: random.integer(50, 3_000) };
  if (drawn < 0.9) return { kind: "jump", ms: random.pick([500, 5_000, 3_600_000]) };
  if (drawn < 0.95) return { kind: "murder", pool: random.pick(["cpu", "io"]) };
  if (!isShared || drawn > 0.98) return { kind: "wait" };
  return { kind: "takeover", frozenMs: random.integer(0, 500), sharedMs: random.integer(100, 3_000) };
}

function jobOf(random: Random, jobs: JobPlan[]): JobPlan {
  const number = jobs.length + 1;
  const client = random.pick(clients);
  const twin = random.isLucky(0.15) ? jobs.findLast((job) => job.key !== "" && job.client === client) : undefined;
  const id = idOf(number);
  const job: JobPlan = twin
    ? { ...twin, id, ...(random.isLucky(0.2) && { input: `other ${number}` }) }
    : {
        ...{ id, client, input: `input ${number}` },
        channel: random.isLucky(0.08) ? null : random.isLucky(0.7) ? channels[0] : channels[1],
        pool: random.isLucky(0.7) ? "cpu" : "io",
        key: random.isLucky(0.3) ? `key-${number}` : "",
        delayMs: random.isLucky(0.25) ? random.integer(1, 1_500) : 0,
        deadlineMs: random.isLucky(0.2) ? random.integer(1, 2_000) : null,
        timeoutMs: random.isLucky(0.2) ? random.integer(10, 300) : null,
        priority: random.isLucky(0.2) ? random.integer(-5, 5) : 0,
        maxAttempts: random.integer(1, 5),
        retry: random.isLucky(0.5)
          ? { baseMs: random.integer(1, 200), jitter: random.isLucky(0.8) ? "full" : "none" }
          : null,
        runs: random.isLucky(0.03)
          ? Array.from({ length: 10 }, () => ({ ...behaviourOf(random), how: "kill" as const }))
          : Array.from({ length: random.integer(0, 4) }, () => behaviourOf(random)),
      };
  jobs.push(job);
  return job;
}

const idOf = (number: number) => `00000000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
/** Numbers of jobs in a burst begin here. */
const quickStart = 0x1000;
const quick: Behaviour = { how: "succeed", ms: 0.05, obeys: true, laterMs: 0 };

function behaviourOf(random: Random): Behaviour {
  const how = random.pick([
    "succeed",
    "succeed",
    "succeed",
    "fail",
    "fail",
    "fail",
    "permanent",
    "later",
    "die",
  ] as const);
  const ms = random.isLucky(0.6) ? random.next() * 3 : random.isLucky(0.8) ? random.integer(3, 150) : 2_000;
  return { how, ms, obeys: random.isLucky(0.6), laterMs: random.integer(0, 400) };
}
