/** A real pool of real threads, with the tasks of ./tasks that have no message types. */
import { systemClock } from "../../src/clock.ts";
import type { JsonValue, Lease, Payload } from "../../src/job/job.ts";
import { createSignal } from "../../src/lifecycle.ts";
import {
  type AttemptEvent,
  createPool,
  type Ended,
  type Pool,
  type PoolOptions,
  type RetirablePool,
  type RunCallbacks,
} from "../../src/pool/pool.ts";
import { keptLog, loadHere, newLease, noResources } from "../support/samples.ts";

const { tasks } = await loadHere(new URL("./tasks/", import.meta.url), {
  pools: ["tried"],
  settings: { typed: { factor: 10 } },
});

export const maxOutputBytes = 1000;
export const maxOutputValues = 100;

/** Said by every thread of every task, so it is heard, but not among the lines. */
export const loadsTask = "a worker loads a task";

/** A pool whose `run` resolves with what has ended, in the order in which that was reported. */
export type Collecting<P extends Pool> = Omit<P, "run"> & {
  run(leases: readonly Lease[], onEnded?: RunCallbacks["onEnded"]): Promise<readonly Ended[]>;
};

export function collecting<P extends Pool>(pool: P, callbacks: Omit<RunCallbacks, "onEnded"> = {}): Collecting<P> {
  return {
    ...pool,
    async run(leases, onEnded) {
      const all: Ended[] = [];
      await pool.run(leases, {
        ...callbacks,
        onEnded(ended) {
          all.push(...ended);
          onEnded?.(ended);
        },
      });
      return all;
    },
  };
}

export type Tried = {
  readonly pool: Collecting<RetirablePool>;
  /** The same, bare. */
  readonly bare: RetirablePool;
  readonly lines: ReturnType<typeof keptLog>["lines"];
  readonly events: { readonly lease: Lease; readonly event: AttemptEvent }[];
  /** What was taken back. */
  readonly released: Lease[];
  /** Resolves when the log has had so many lines with this text. */
  heard(text: string, times?: number): Promise<void>;
  /** How often that was. */
  times(text: string): number;
  /** Runs one job on its own. */
  run(task: string, input: JsonValue): Promise<Ended>;
};

export type TryOptions = Partial<PoolOptions> & {
  /** Default: true. False: jobs stay behind a slow one, also behind one that is slow because the machine is busy. */
  readonly takesBack?: boolean;
  readonly onEvent?: (event: AttemptEvent) => void;
};

/** A pool that ends with its test; with `{ after }` of node:test, after all tests of the file or the suite. */
export function tryPool(
  t: { after(end: () => unknown): void },
  { takesBack = true, onEvent, ...options }: TryOptions = {},
): Tried {
  const { log, lines } = keptLog();
  const listeners = new Set<() => void>();
  const told = { ...log };
  const times = new Map<string, number>();
  for (const level of ["debug", "info", "warn", "error"] as const) {
    told[level] = (fields, text) => {
      if (text !== loadsTask) log[level](fields, text);
      times.set(text, (times.get(text) ?? 0) + 1);
      for (const listener of listeners) listener();
    };
  }
  const events: { lease: Lease; event: AttemptEvent }[] = [];
  const released: Lease[] = [];
  const maxWorkers = options.maxWorkers ?? 1;
  const bare = createPool({
    name: "tried",
    work: "io",
    minWorkers: maxWorkers,
    maxWorkers,
    idleMs: 60_000,
    tasks: untypedTasks,
    resourceHost: noResources,
    sources: null,
    outputBounds: { maxBytes: maxOutputBytes, maxValues: maxOutputValues },
    clock: systemClock,
    graceMs: 60_000,
    loadMs: 30_000,
    log: told,
    ...options,
  });
  t.after(() => bare.destroy());
  const pool = collecting(bare, {
    ...(takesBack && { onReleased: (leases: readonly Lease[]) => void released.push(...leases) }),
    onEvent(lease, event) {
      events.push({ lease, event });
      onEvent?.(event);
    },
  });
  return {
    ...{ pool, bare, lines, events, released },
    times: (text) => times.get(text) ?? 0,
    async heard(text, least = 1) {
      const { promise, fire } = createSignal();
      const listen = () => {
        if ((times.get(text) ?? 0) >= least) fire();
      };
      listeners.add(listen);
      listen();
      await promise;
      listeners.delete(listen);
    },
    async run(task, input) {
      const [ended] = await pool.run([job(task, input)]);
      if (!ended) throw new Error("no job ended");
      return ended;
    },
  };
}

export const allTasks = [...tasks.values()];
/** Those without message types, for which a thread loads more than for all of these together. */
export const untypedTasks = allTasks.filter(({ input, output }) => !input && !output);

export function job(task: string, input: JsonValue | Payload, overrides: Parameters<typeof newLease>[0] = {}): Lease {
  const isPayload = typeof input === "object" && input !== null && !Array.isArray(input) && "bytes" in input;
  return newLease({ task, pool: "tried", input: isPayload ? (input as Payload) : json(input), ...overrides });
}

export function json(value: JsonValue): Payload {
  return { kind: "json", type: "", bytes: new TextEncoder().encode(JSON.stringify(value)) };
}

/** An outcome in a word or two, for comparing. */
export function shown({ outcome }: Ended): string {
  if (outcome.kind === "failed") return `failed ${outcome.failure.reason}`;
  if (outcome.kind === "timed_out") return `timed_out ${outcome.timeoutMs}`;
  if (outcome.kind === "expired") return `expired ${outcome.hasStarted ? "started" : "unstarted"}`;
  if (outcome.kind !== "succeeded") return outcome.kind;
  const { output } = outcome;
  if (!output) return "succeeded";
  return `succeeded ${output.kind} ${Buffer.from(output.bytes).toString("utf8")}`;
}
