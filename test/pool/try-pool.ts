/** A real pool of real threads, with the tasks of ./tasks. */
import type { TestContext } from "node:test";
import { systemClock } from "../../src/clock.ts";
import type { JsonValue, Lease, Payload } from "../../src/job/job.ts";
import { createSignal } from "../../src/lifecycle.ts";
import { createPool, type Ended, type PoolOptions, type RetirablePool, type Said } from "../../src/pool/pool.ts";
import { keptLog, loadHere, newLease, noResources } from "../support/samples.ts";

const { tasks } = await loadHere(new URL("./tasks/", import.meta.url), {
  pools: ["tried"],
  settings: { typed: { factor: 10 } },
});

export const maxOutputBytes = 1000;
export const maxOutputValues = 100;

/** Said by every thread of every task, so it is heard, but not among the lines. */
export const loadsTask = "a worker loads a task";

export type Tried = {
  readonly pool: RetirablePool;
  readonly lines: ReturnType<typeof keptLog>["lines"];
  readonly said: { readonly lease: Lease; readonly said: Said }[];
  /** What `onReleased` was told, unless the test brings its own. */
  readonly released: Ended[];
  /** Resolves when the log has had so many lines with this text. */
  heard(text: string, times?: number): Promise<void>;
  /** How often that was. */
  times(text: string): number;
  /** Runs one job on its own. */
  run(task: string, input: JsonValue): Promise<Ended>;
};

/** A pool that ends with its test. */
export function tryPool(t: TestContext, options: Partial<PoolOptions> = {}): Tried {
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
  const said: { lease: Lease; said: Said }[] = [];
  const released: Ended[] = [];
  const maxWorkers = options.maxWorkers ?? 1;
  const pool = createPool({
    name: "tried",
    work: "io",
    minWorkers: maxWorkers,
    maxWorkers,
    idleMs: 60_000,
    tasks: allTasks,
    resourceHost: noResources,
    sources: null,
    outputBounds: { maxBytes: maxOutputBytes, maxValues: maxOutputValues },
    clock: systemClock,
    graceMs: 60_000,
    loadMs: 30_000,
    onSaid: (lease, each) => said.push({ lease, said: each }),
    onReleased: (ended) => released.push(...ended),
    log: told,
    ...options,
  });
  t.after(() => pool.destroy());
  return {
    ...{ pool, lines, said, released },
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

export function job(task: string, input: JsonValue | Payload, overrides: Partial<Lease> = {}): Lease {
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
