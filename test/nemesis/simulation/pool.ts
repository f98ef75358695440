/** The fake pool with jobs that do what the plan says. */
import { createHash } from "node:crypto";
import type { Clock } from "../../../src/clock.ts";
import type { Lease, Outcome, Payload } from "../../../src/job/job.ts";
import { decodeJob } from "../../../src/job/record.ts";
import { createFakePool, type FakeAttempt, type FakePool, type FakeTasks } from "../../pool/fake-pool.ts";
import type { Random } from "../random.ts";
import type { Caller, Ledger } from "./ledger.ts";
import type { Behaviour, JobPlan } from "./plan.ts";
import type { Record } from "./record.ts";

export type SimulatedPool = FakePool & {
  /** Ends a thread that runs something; false: there is none. */
  murder(): boolean;
  /** Its process is dead: what ran will never report it. */
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

/** An execution: what it is called in the record, and what it does. */
type Run = { readonly name: string; readonly behaviour: Behaviour };

const timeoutMs = 3_600_000;
const calm: Behaviour = { how: "succeed", ms: 0.5, obeys: true, laterMs: 0 };
const ownDeath: Outcome = { kind: "lost", died: "own_process", how: "SIGKILL" };

export function createSimulatedPool(parts: SimulatedPoolParts): SimulatedPool {
  const { name, workers, clock, graceMs, random, record, ledger, caller } = parts;
  const runs = new Map<FakeAttempt, Run>();
  let count = 0;

  function runOf(lease: Lease): Run {
    count += 1;
    const behaviour = parts.planOf(lease.id)?.runs[parts.nextRun(lease.id)] ?? calm;
    return { name: `${parts.boot}-${name}-${count}${parts.isIsolated ? "-own" : ""}`, behaviour };
  }

  function finish(attempt: FakeAttempt, { name: run, behaviour }: Run): void {
    const { lease } = attempt;
    if (behaviour.how === "die") {
      if (lease.channel !== null) record.write({ kind: "murders", run, how: "throw" });
      return attempt.die();
    }
    if (behaviour.how !== "kill") return attempt.end(outcomeOf(behaviour, lease, run));
    parts.onKilled(lease.id);
    if (parts.isIsolated) attempt.end(ownDeath);
  }

  function forget(attempt: FakeAttempt): Run | undefined {
    const run = runs.get(attempt);
    runs.delete(attempt);
    if (run) ledger.finished(attempt.lease, run.name, caller);
    return run;
  }

  const tasks: FakeTasks = {
    begin(attempt) {
      const { lease } = attempt;
      const run = runOf(lease);
      runs.set(attempt, run);
      ledger.began(lease, run.name, caller);
      const thread = parts.isIsolated ? -attempt.thread : attempt.thread; // a pool's isolated twin has threads and runs of its own
      if (lease.channel !== null) {
        record.write({
          ...{ kind: "began", id: lease.id, attempt: lease.attempt, run: run.name },
          ...{ pid: parts.boot, thread },
        });
      }
      attempt.later(run.behaviour.ms, () => finish(attempt, run));
    },
    onStop(attempt, reason) {
      if (!runs.get(attempt)?.behaviour.obeys) return;
      const failure = { reason, message: "it was asked to stop", retryable: true };
      attempt.later(random.next() * 3, () => attempt.end({ kind: "failed", failure }));
    },
    onEnd(attempt, outcome) {
      const run = forget(attempt);
      if (!run || !outcome || attempt.lease.channel === null) return;
      record.write({ kind: "finished", run: run.name, how: outcome.kind === "succeeded" ? "returned" : "threw" });
    },
  };
  const pool = createFakePool({
    ...{ name, workers, clock, graceMs, timeoutMs, tasks },
    takeMs: () => random.next() * 0.5,
    onRun: (isFree) => record.check("I12", isFree, () => `a chunk was sent to pool ${name} without a free worker`),
    count: record.count,
  });

  return {
    ...pool,
    murder() {
      const [attempt] = pool.attempts();
      attempt?.die();
      return attempt !== undefined;
    },
    die() {
      for (const attempt of [...runs.keys()]) forget(attempt);
    },
  };
}

function outcomeOf({ how, laterMs }: Behaviour, { record }: Lease, run: string): Outcome {
  if (how === "succeed") return { kind: "succeeded", output: outputOf(decodeJob(record).input, run) };
  const failure = { reason: "told_to_fail", message: "as it was asked to", retryable: how !== "permanent" };
  return { kind: "failed", failure: how === "later" ? { ...failure, retryAfterMs: laterMs } : failure };
}

/** What the task of the nemesis returns: the hash of its input, and which execution made it. */
function outputOf(input: Payload | null, run: string): Payload {
  const text = JSON.parse(Buffer.from(input!.bytes).toString()) as string;
  const sha256 = createHash("sha256").update(text).digest("hex");
  return { kind: "json", type: "", bytes: Buffer.from(JSON.stringify({ sha256, run })) };
}
