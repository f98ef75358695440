/**
 * Runs each job in a process of its own: for suspects, which may kill their process. If such a process dies, its job is
 * to blame, and no other job is affected. A process never runs a second job, so that leftovers of one job are never
 * blamed on another.
 */
import { originOf } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Lease, Outcome } from "../../job/job.ts";
import { jobFields } from "../../job/log-fields.ts";
import { createSignal, type Signal, within } from "../../lifecycle.ts";
import type { StopReason } from "../chunk.ts";
import { notBegun } from "../outcomes.ts";
import type { Ended, Pool, PoolCode, PoolOptions, Progress, RunCallbacks } from "../port.ts";
import { type OwnProcess, startOwnProcess } from "./own-process.ts";
import { createPoolSize } from "../size.ts";
import { createRelayEnd } from "./resource-relay.ts";
import type { FromProcess } from "./protocol.ts";

export type IsolatedPoolOptions = Pick<
  PoolOptions,
  "name" | "work" | "resourceHost" | "outputBounds" | "loadMs" | "graceMs" | "isTraced" | "clock" | "log"
> & {
  /** The code that a new process loads; running ones keep theirs. */
  readonly code: () => PoolCode;
  /** Bound on concurrent processes. Each takes about 70 MiB plus the needs of its job. */
  readonly maxProcesses: number;
};

type Attempt = {
  readonly lease: Lease;
  readonly callbacks: RunCallbacks;
  readonly done: Signal;
  readonly leasedMs: number;
  readonly timeoutMs: number;
  own: OwnProcess | undefined;
  /** Relays the messages of its threads about resources. */
  readonly relay: ReturnType<typeof createRelayEnd>;
  /** When the job was sent to its process; null: not yet. */
  startedAt: number | null;
  /** Why it was asked to stop. */
  stop: StopReason | undefined;
  progress: Progress | undefined;
  /** The outcome that its process reported. */
  ended: Ended | undefined;
  readonly timers: (() => void)[];
};

/** How long a process may take to start, in addition to loading its task. */
const startMs = 30_000;
/** How long after the grace of its own worker a process that was asked to stop is killed: it does not respond at all. */
const slackMs = 10_000;
/**
 * How long the server must survive a process before it blames the job: if all processes are killed at once, by
 * `killall` or the end of a container, the server is killed within that time, too.
 */
const verdictMs = 1_000;
/**
 * How long a process may take from the end of its job to its last message, in addition to `graceMs` for the teardown of
 * resources.
 */
const lastMessageMs = 1_000;
/** The pause after a process could not be started; doubles each time, up to the longest. */
const pauseMs = 1_000;
const longestPauseMs = 60_000;
/** How long `destroy` waits for killed processes to end. */
const endMs = 5_000;

export function createIsolatedPool(options: IsolatedPoolOptions): Pool {
  const { name, work, outputBounds, loadMs, graceMs, isTraced = false, clock, log } = options;
  const size = createPoolSize({ min: 0, max: options.maxProcesses });
  const attempts = new Set<Attempt>();
  const alive = new Set<OwnProcess>();
  let isStopping = false;
  let failedStarts = 0;
  let pausedUntilMs = Number.NEGATIVE_INFINITY;

  const isPaused = () => clock.monotonicMs() < pausedUntilMs;
  const find = (seq: number, fence?: number) =>
    [...attempts].find(({ lease }) => lease.seq === seq && (fence ?? lease.fence) === lease.fence);
  const later = ({ timers }: Attempt, ms: number, action: () => void) => void timers.push(clock.after(ms, action));

  async function runOne(lease: Lease, callbacks: RunCallbacks): Promise<void> {
    if (isStopping) {
      await Promise.resolve(); // nothing may be reported before `run` has returned
      return callbacks.onEnded([notBegun(lease, { kind: "released" }, clock.exactNow())]);
    }
    const code = codeFor(lease);
    const attempt: Attempt = {
      ...{ lease, callbacks, done: createSignal(), own: undefined, startedAt: null, stop: undefined },
      ...{ progress: undefined, ended: undefined, timers: [], leasedMs: clock.monotonicMs() },
      relay: createRelayEnd(name, options.resourceHost, (message) => attempt.own?.send(message)),
      timeoutMs: lease.timeoutMs ?? code.tasks[0]?.timeoutMs ?? Number.POSITIVE_INFINITY,
    };
    attempts.add(attempt);
    try {
      begin(attempt, code);
    } catch (error) {
      queueMicrotask(() => cannotStart(attempt, messageOf(error)));
    }
    await attempt.done.promise;
  }

  function begin(attempt: Attempt, code: PoolCode): void {
    const settings = {
      name,
      work,
      outputBounds,
      loadMs,
      graceMs,
      isTraced,
      clockOrigin: originOf(),
      ...code,
    };
    const own = startOwnProcess(settings, (message) => receive(attempt, message));
    attempt.own = own;
    alive.add(own);
    if (own.pid !== undefined) {
      failedStarts = 0;
      log.info({ ...jobFields(attempt.lease), pid: own.pid }, "a suspect runs in a process of its own");
    }
    void own.gone.then((how) => {
      alive.delete(own);
      attempt.relay.close();
      gone(attempt, how);
    });
    const maxMs = startMs + loadMs;
    later(attempt, maxMs, () =>
      notStarted(attempt, `its task did not load within ${maxMs} ms: raise taskLoadMs if it may take so long`),
    );
  }

  /** Loads only the job's task, so that faulty files of other tasks do not matter. */
  function codeFor({ task }: Lease): PoolCode {
    const { tasks, sources } = options.code();
    const wanted = tasks.filter((each) => each.name === task);
    return {
      tasks: wanted.map(({ name, file, settings, timeoutMs, resources }) => ({
        ...{ name, file, settings, timeoutMs, resources },
      })),
      sources,
    };
  }

  function receive(attempt: Attempt, message: FromProcess): void {
    if (message.kind === "joined" || message.kind === "left" || message.kind === "resource")
      return attempt.relay.receive(message);
    if (!attempts.has(attempt)) return;
    switch (message.kind) {
      case "ready":
        return handOver(attempt);
      case "log":
        return log[message.level](message.fields, message.text);
      case "event":
        if (message.event.kind === "progress") attempt.progress = message.event.progress;
        return attempt.callbacks.onEvent?.(attempt.lease, message.event);
      case "ended":
        if (message.ended.outcome.kind === "released" && !attempt.stop)
          return notStarted(attempt, "what its task's file started at its import blocked or ended the worker");
        attempt.ended = { lease: attempt.lease, ...message.ended };
        return later(attempt, lastMessageMs + graceMs, () => void concluded(attempt));
      case "over":
        return void concluded(attempt);
    }
  }

  function handOver(attempt: Attempt): void {
    const { lease, timers, own, timeoutMs } = attempt;
    const isGone = !own || !alive.has(own);
    if (attempt.startedAt !== null || isGone) return; // its worker was replaced, or the message came after the end
    for (const cancel of timers.splice(0)) cancel();
    const now = clock.exactNow();
    attempt.startedAt = now;
    own.send({ kind: "run", lease: { ...lease, record: lease.record.slice() } }); // a view would be sent with its whole buffer
    const leftMs = (lease.expiresAt ?? Number.POSITIVE_INFINITY) - now;
    const boundMs = Math.min(timeoutMs, leftMs);
    if (boundMs === Number.POSITIVE_INFINITY) return;
    later(attempt, boundMs + graceMs + slackMs, () => {
      attempt.stop ??= leftMs <= timeoutMs ? "expired" : "timed_out";
      own.kill();
    });
  }

  function requestStop(attempt: Attempt, reason: StopReason): void {
    if (attempt.stop) return;
    attempt.stop = reason;
    const { lease, own, startedAt } = attempt;
    if (startedAt === null) return end(attempt, notBegun(lease, stopped(attempt, reason), clock.exactNow()));
    own?.send(reason === "released" ? { kind: "release" } : { kind: "cancel", seq: lease.seq });
    later(attempt, graceMs + slackMs, () => own?.kill());
  }

  function gone(attempt: Attempt, how: string): void {
    if (!attempts.has(attempt) || concluded(attempt)) return;
    if (attempt.own?.pid === undefined) return cannotStart(attempt, how);
    if (attempt.stop) return end(attempt, endedNow(attempt, stopped(attempt, attempt.stop)));
    // its last message may not have arrived yet
    later(attempt, verdictMs, () => {
      if (concluded(attempt)) return;
      if (attempt.startedAt === null)
        return notStarted(attempt, `its process ended (${how}) before its task was loaded`);
      log.error({ ...jobFields(attempt.lease), how }, "the process that ran this job alone died: the job is poison");
      end(attempt, endedNow(attempt, { kind: "lost", died: "own_process", how }));
    });
  }

  /** The machine could not start a process. No job is to blame, and all suspects wait. */
  function cannotStart(attempt: Attempt, why: string): void {
    const ms = Math.min(pauseMs * 2 ** failedStarts, longestPauseMs);
    failedStarts += 1;
    pausedUntilMs = clock.monotonicMs() + ms;
    log.error(
      { pool: name, why, pauseMs: ms },
      "no process could be started for a suspect: all suspects of the pool wait",
    );
    end(attempt, notBegun(attempt.lease, { kind: "released" }, clock.exactNow()));
  }

  /** The process started, but the job did not. The cause is most likely in its task, so no other job waits. */
  function notStarted(attempt: Attempt, why: string): void {
    log.error({ ...jobFields(attempt.lease), why }, "a suspect did not start in its process: the attempt has failed");
    const message = `the job did not start in a process of its own: ${why}`;
    end(
      attempt,
      endedNow(attempt, { kind: "failed", failure: { reason: "task_not_started", message, retryable: true } }),
    );
  }

  function end(attempt: Attempt, ended: Ended): void {
    if (!attempts.delete(attempt)) return;
    for (const cancel of attempt.timers) cancel();
    attempt.own?.kill();
    attempt.callbacks.onEnded([ended]);
    attempt.done.fire();
  }

  /** Whether the process has reported how the job ended. */
  function concluded(attempt: Attempt): boolean {
    if (attempt.ended) end(attempt, attempt.ended);
    return attempt.ended !== undefined;
  }

  function endedNow({ lease, startedAt }: Attempt, outcome: Outcome): Ended {
    const finishedAt = clock.exactNow();
    const began = startedAt ?? finishedAt;
    return { lease, outcome, startedAt: began, finishedAt, tookMs: finishedAt - began };
  }

  function stopped({ startedAt, timeoutMs }: Attempt, reason: StopReason): Outcome {
    if (reason === "timed_out") return { kind: reason, timeoutMs };
    return reason === "expired" ? { kind: reason, hasStarted: startedAt !== null } : { kind: reason };
  }

  function releaseAll(): void {
    isStopping = true;
    for (const attempt of attempts) requestStop(attempt, "released");
  }

  return {
    name,
    ...{ concurrency: 1, bounds: size.bounds, target: size.target, setTarget: size.setTarget, resize: size.resize },
    workers: () => alive.size,
    busyWorkers: () => Math.min(attempts.size, alive.size),
    free: () => (isPaused() ? 0 : Math.max(size.capacity() - attempts.size, 0)),
    canRun: () => !isPaused(),
    startingMs(seq) {
      const attempt = find(seq);
      return attempt?.startedAt === null ? clock.monotonicMs() - attempt.leasedMs : undefined;
    },
    async run(leases, callbacks) {
      await Promise.all(leases.map((lease) => runOne(lease, callbacks)));
    },
    progressOf: (seq) => find(seq)?.progress,
    cancel(seq, fence) {
      const attempt = find(seq, fence);
      if (attempt) requestStop(attempt, "cancelled");
      return attempt !== undefined;
    },
    withdraw() {
      for (const attempt of attempts) if (attempt.startedAt === null) requestStop(attempt, "released");
    },
    releaseAll,
    async destroy() {
      releaseAll();
      for (const attempt of attempts) end(attempt, attempt.ended ?? endedNow(attempt, { kind: "released" }));
      const areGone = await within(clock, endMs, Promise.all([...alive].map(({ gone }) => gone)));
      if (!areGone) log.warn({ pool: name }, "some processes of suspects did not end, and are left running");
    },
  };
}
