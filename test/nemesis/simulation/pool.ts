/** A pool without threads whose jobs do what the plan says, and which behaves to the engine as the real one does. */
import { createHash } from "node:crypto";
import type { Clock } from "../../../src/clock.ts";
import type { Lease, Outcome, Payload } from "../../../src/job/job.ts";
import { createSignal, type Signal } from "../../../src/lifecycle.ts";
import type { Ended, Pool, RunCallbacks } from "../../../src/pool/port.ts";
import type { Random } from "../random.ts";
import type { Caller, Ledger } from "./ledger.ts";
import type { Behaviour, JobPlan } from "./plan.ts";
import type { Record } from "./record.ts";

export type SimulatedPool = Pool & {
  /** Ends a thread that runs something; false: there is none. */
  murder(): boolean;
  /** Jobs that run or wait for their neighbours. */
  busy(): number;
  /** Its process is dead: what ran will never say so. */
  die(): void;
};

export type SimulatedPoolParts = {
  readonly name: string;
  /** Whether each job runs in a process of its own. */
  readonly isIsolated: boolean;
  readonly workers: number;
  readonly clock: Clock;
  readonly boot: number;
  readonly caller: Caller;
  readonly random: Random;
  readonly graceMs: number;
  readonly record: Record;
  readonly ledger: Ledger;
  readonly planOf: (id: string) => JobPlan | undefined;
  /** How often a job has begun, this time not counted; counts this one. */
  readonly nextRun: (id: string) => number;
  /** A job ends the process that runs it: its own, or the server's. */
  readonly onKilled: (id: string) => void;
};

type StopReason = "cancelled" | "timed_out" | "expired" | "released";
type Attempt = {
  readonly lease: Lease;
  readonly index: number;
  readonly run: string;
  readonly behaviour: Behaviour;
  readonly startedAt: number;
  readonly beganMs: number;
  stop: StopReason | undefined;
};
type Chunk = {
  readonly leases: readonly Lease[];
  readonly thread: number;
  readonly callbacks: RunCallbacks;
  readonly done: Signal;
  /** What is known of each job; `withdrawn` stands for one that will not begin and was reported. */
  readonly ends: (Ended | "withdrawn" | undefined)[];
  current: Attempt | undefined;
  cancels: (() => void)[];
};

/** A job that runs for so long gives those behind it back. */
const slowMs = 50;
const defaultTimeoutMs = 3_600_000;
const calm: Behaviour = { how: "succeed", ms: 0.5, obeys: true, laterMs: 0 };

export function createSimulatedPool(parts: SimulatedPoolParts): SimulatedPool {
  const { name, workers, clock, random, record, ledger, caller } = parts;
  const chunks = new Set<Chunk>();
  let isStopping = false;
  let threads = 0;
  let runs = 0;

  const unstarted = (lease: Lease, outcome: Outcome): Ended => {
    const now = clock.now();
    return { lease, outcome, startedAt: now, finishedAt: now, tookMs: 0 };
  };
  const later = (chunk: Chunk, ms: number, action: () => void) => void chunk.cancels.push(clock.after(ms, action));

  function beginNext(chunk: Chunk): void {
    const index = chunk.ends.indexOf(undefined);
    const lease = chunk.leases[index];
    if (!lease) return over(chunk);
    if (lease.expiresAt !== null && clock.now() >= lease.expiresAt) {
      chunk.ends[index] = unstarted(lease, { kind: "expired", hasStarted: false });
      return beginNext(chunk);
    }
    const behaviour = parts.planOf(lease.id)?.runs[parts.nextRun(lease.id)] ?? calm;
    runs += 1;
    const run = `${parts.boot}-${name}-${runs}${parts.isIsolated ? "-own" : ""}`;
    const attempt: Attempt = {
      ...{ lease, index, run, behaviour, startedAt: clock.now(), beganMs: clock.monotonicMs(), stop: undefined },
    };
    chunk.current = attempt;
    ledger.began(lease, run, caller);
    if (lease.channel !== null) {
      const { id, attempt } = lease;
      record.write({ kind: "began", id, attempt, run, pid: parts.boot, thread: chunk.thread });
    }
    later(chunk, behaviour.ms, () => finish(chunk, attempt));
    later(chunk, slowMs, () => withdrawWaiting(chunk));
    const timeoutMs = timeoutOf(lease);
    const leftMs = lease.expiresAt === null ? Number.POSITIVE_INFINITY : lease.expiresAt - clock.now();
    later(chunk, Math.min(timeoutMs, leftMs), () => tell(chunk, leftMs <= timeoutMs ? "expired" : "timed_out"));
    return undefined;
  }

  /** The task comes to its own end, told to stop or not. */
  function finish(chunk: Chunk, { lease, run, behaviour, stop }: Attempt): void {
    if (behaviour.how === "die") {
      if (lease.channel !== null) record.write({ kind: "murders", run, how: "throw" });
      return kill(chunk);
    }
    if (behaviour.how === "kill") {
      parts.onKilled(lease.id);
      if (parts.isIsolated) conclude(chunk, stop ? stopped(stop, lease) : ownDeath);
      return;
    }
    const outcome = outcomeOf(behaviour, lease, run);
    conclude(chunk, stop && outcome.kind !== "succeeded" ? stopped(stop, lease) : outcome);
  }

  function conclude(chunk: Chunk, outcome: Outcome): void {
    const { lease, index, run, startedAt, beganMs } = chunk.current!;
    const tookMs = clock.monotonicMs() - beganMs;
    if (lease.channel !== null) {
      record.write({ kind: "finished", run, how: outcome.kind === "succeeded" ? "returned" : "threw" });
    }
    ledger.finished(lease, run, caller);
    chunk.ends[index] = { lease, outcome, startedAt, finishedAt: Math.round(startedAt + tookMs), tookMs };
    chunk.current = undefined;
    quiet(chunk);
    beginNext(chunk);
  }

  function tell(chunk: Chunk, reason: StopReason): boolean {
    const attempt = chunk.current;
    if (!attempt) return false;
    if (attempt.stop) return true;
    attempt.stop = reason;
    if (attempt.behaviour.obeys) later(chunk, random.next() * 3, () => conclude(chunk, stopped(reason, attempt.lease)));
    later(chunk, parts.graceMs, () => kill(chunk));
    return true;
  }

  /** Its thread ends. The job that was running is to blame; those that ended before it did not get their outcome out. */
  function kill(chunk: Chunk): void {
    record.count("thread deaths");
    withdrawWaiting(chunk);
    const { current } = chunk;
    for (const [index, lease] of chunk.leases.entries()) {
      if (chunk.ends[index] === "withdrawn" || index === current?.index) continue;
      chunk.ends[index] = unstarted(lease, { kind: "released" });
    }
    if (current) {
      const { lease, index, stop, startedAt, beganMs, run } = current;
      ledger.finished(lease, run, caller);
      const failure = { reason: "worker_died", message: "the worker ended during this job", retryable: true };
      const outcome: Outcome = stop ? stopped(stop, lease) : { kind: "failed", failure };
      const tookMs = clock.monotonicMs() - beganMs;
      chunk.ends[index] = { lease, outcome, startedAt, finishedAt: clock.now(), tookMs };
    }
    chunk.current = undefined;
    over(chunk);
  }

  function withdrawWaiting(chunk: Chunk): void {
    const taken: Lease[] = [];
    for (const [index, lease] of chunk.leases.entries()) {
      if (chunk.ends[index] || index === chunk.current?.index) continue;
      chunk.ends[index] = "withdrawn";
      taken.push(lease);
    }
    if (taken.length === 0) return;
    record.count("neighbours withdrawn");
    chunk.callbacks.onReleased?.(taken);
  }

  function quiet(chunk: Chunk): void {
    for (const cancel of chunk.cancels) cancel();
    chunk.cancels = [];
  }

  function over(chunk: Chunk): void {
    quiet(chunk);
    chunks.delete(chunk);
    chunk.callbacks.onEnded(chunk.ends.filter((end): end is Ended => end !== undefined && end !== "withdrawn"));
    chunk.done.fire();
  }

  const stopped = (reason: StopReason, lease: Lease): Outcome => {
    if (reason === "timed_out") return { kind: reason, timeoutMs: timeoutOf(lease) };
    return reason === "expired" ? { kind: reason, hasStarted: true } : { kind: reason };
  };

  return {
    name,
    minWorkers: workers,
    maxWorkers: workers,
    workers: () => workers,
    free: () => workers - chunks.size,
    canRun: () => true,
    startingMs: () => undefined,
    async run(leases, callbacks) {
      const isFree = chunks.size < workers;
      record.check("I12", isFree || isStopping, () => `a chunk was sent to pool ${name} without a free worker`);
      if (isStopping || !isFree) {
        await Promise.resolve();
        return callbacks.onEnded(leases.map((lease) => unstarted(lease, { kind: "released" })));
      }
      threads += 1;
      const done = createSignal();
      const ends = leases.map(() => undefined);
      const thread = parts.isIsolated ? -threads : threads; // a pool's isolated twin has threads and runs of its own
      const chunk: Chunk = { leases, callbacks, thread, done, ends, current: undefined, cancels: [] };
      chunks.add(chunk);
      later(chunk, random.next() * 0.5, () => beginNext(chunk));
      if (leases.length > 1) record.count("chunks of several");
      await done.promise;
    },
    progressOf: () => undefined,
    cancel(seq, fence) {
      for (const chunk of chunks) {
        const index = chunk.leases.findIndex((lease) => lease.seq === seq && (fence ?? lease.fence) === lease.fence);
        if (index < 0) continue;
        if (index === chunk.current?.index) return tell(chunk, "cancelled");
        if (chunk.ends[index]) continue;
        chunk.ends[index] = unstarted(chunk.leases[index]!, { kind: "cancelled" });
        return true;
      }
      return false;
    },
    releaseAll() {
      isStopping = true;
      for (const chunk of [...chunks]) {
        withdrawWaiting(chunk);
        tell(chunk, "released");
      }
    },
    async destroy() {
      for (const chunk of [...chunks]) kill(chunk);
    },
    murder() {
      const chunk = [...chunks].find(({ current }) => current);
      if (chunk) kill(chunk);
      return chunk !== undefined;
    },
    busy: () => [...chunks].reduce((sum, { ends }) => sum + ends.filter((end) => end === undefined).length, 0),
    die() {
      for (const { current } of chunks) if (current) ledger.finished(current.lease, current.run, caller);
    },
  };
}

const ownDeath: Outcome = { kind: "lost", died: "own_process", how: "SIGKILL" };
const timeoutOf = ({ options }: Lease) => options?.timeoutMs ?? defaultTimeoutMs;

function outcomeOf({ how, laterMs }: Behaviour, { input }: Lease, run: string): Outcome {
  if (how === "succeed") return { kind: "succeeded", output: outputOf(input, run) };
  const failure = { reason: "told_to_fail", message: "as it was asked to", retryable: how !== "permanent" };
  return { kind: "failed", failure: how === "later" ? { ...failure, retryAfterMs: laterMs } : failure };
}

/** What the task of the nemesis returns: the hash of its input, and which execution made it. */
function outputOf(input: Payload | null, run: string): Payload {
  const text = JSON.parse(Buffer.from(input!.bytes).toString()) as string;
  const sha256 = createHash("sha256").update(text).digest("hex");
  return { kind: "json", type: "", bytes: Buffer.from(JSON.stringify({ sha256, run })) };
}
