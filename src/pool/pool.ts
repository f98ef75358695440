/**
 * A bounded set of worker threads that run chunks of jobs. The queue is not here: the dispatcher sends a chunk only
 * when a worker is free.
 *
 * How a chunk runs: it takes a slot (slots.ts), piscina posts it to a thread, and its jobs run there one after the
 * other. A thread has up to `concurrency` chunks at once; stalls.ts detects a thread that a job blocks, and
 * thread-ends.ts determines which job ended a thread. The slot's flags (flags.ts) are shared memory with one word per
 * job: waiting, running, ended or withdrawn, and why it was asked to stop. Each change is atomic, so a job is either
 * started by its thread or withdrawn by the main thread, never both, and the main thread knows what a thread was doing
 * when it dies or does not respond. The watchdog (stopping.ts) reads the flags every 20 ms: it enforces timeouts,
 * deadlines and graces, and withdraws jobs behind a slow one. Outcomes are sent in one message at the end of the chunk,
 * and earlier for jobs in front of a slow one (early-outcomes.ts); outcomes.ts combines them with the flags, so that
 * each job is reported exactly once, even if its thread died.
 */
import { randomUUID } from "node:crypto";
import type { Worker } from "node:worker_threads";
import { originOf } from "../clock.ts";
import type { Lease } from "../job/job.ts";
import { createLoop, within } from "../lifecycle.ts";
import { createThreadStartups } from "./thread-startup.ts";
import type { PackedOutcomes, ThreadMessage } from "./chunk.ts";
import { createThreadEnds } from "./thread-ends.ts";
import { createThreadTerminations } from "./thread-termination.ts";
import { threadOf } from "./flags.ts";
import { createHandBacks } from "./hand-backs.ts";
import { createAttemptEvents } from "./attempt-events.ts";
import { createOutcomes, notBegun } from "./outcomes.ts";
import { unpackOutcomes } from "./packed-outcomes.ts";
import { textOf } from "./sanitize.ts";
import type { Ended, Pool, PoolOptions, PoolTask, RunCallbacks } from "./port.ts";
import type { PoolResource } from "./resources/protocol.ts";
import { createResourceLinks } from "./resources/links.ts";
import { chunkOf } from "./sending.ts";
import { createPoolSize } from "./size.ts";
import { createPoolThreads } from "./threads.ts";
import { createSlots, type Slot } from "./slots.ts";
import { createStalls } from "./stalls.ts";
import { createStopping } from "./stopping.ts";

export type { AttemptEvent, Ended, Pool, PoolOptions, Progress, RunCallbacks } from "./port.ts";

/** How long `destroy` waits for starting threads: one that is terminated while it starts may hang forever. */
const bootMs = 5_000;
/** How long `destroy` waits for threads that are being terminated. */
const endMs = 5_000;
/** Resolution of timeouts, deadlines and graces. */
const watchdogMs = 20;
const maxErrorChars = 4000;
const defaultMaxHandBacks = 5;

type EndedMessage = Extract<ThreadMessage, { readonly kind: "ended" }>;

/** A pool whose workers are threads of this process. */
export type ThreadPool = Pool & {
  /** The threads that exist now. */
  threads(): readonly Worker[];
  /** Makes parked threads handle messages from other threads. */
  wakeIdle(): void;
};

/** A pool that can be replaced by another. */
export type RetirablePool = ThreadPool & {
  /**
   * Releases jobs that have not started, and starts no more threads. Running jobs finish. `run` must not be called
   * afterwards.
   */
  retire(): void;
};

export function createPool(options: PoolOptions): RetirablePool {
  const { name, concurrency = 1, clock, log } = options;
  const size = createPoolSize({ min: options.minWorkers, max: options.maxWorkers });
  const slots = createSlots({ size, concurrency, isTraced: options.isTraced });
  const events = createAttemptEvents(name, slots, log);
  const ending = createThreadTerminations();
  const bell = new BroadcastChannel(`millpond-pool-${randomUUID()}`);
  bell.unref();
  const timeouts = new Map(options.tasks.map((task) => [task.name, task.timeoutMs]));
  const timeoutOf = (lease: Lease) => lease.timeoutMs ?? timeouts.get(lease.task) ?? Number.POSITIVE_INFINITY;
  const unstarted = (lease: Lease) => notBegun(lease, { kind: "released" }, clock.exactNow());
  let isStopping = false;
  let isBellClosed = false;
  /** Threads that do not take what was posted to them, perhaps blocked by what a job left behind. */
  let late: ReadonlySet<number> = new Set();
  let destroying: Promise<void> | undefined;

  const resources = resourcesOf(options.tasks);
  const probed = resourcesOf(options.tasks.filter(({ isLoadedLate }) => !isLoadedLate)).filter(
    ({ hasProbe }) => hasProbe,
  );
  const links = createResourceLinks({
    ...{ pool: name, resources, probed, host: options.resourceHost, clock, graceMs: options.graceMs },
    isIdle: ({ threadId }) => ![...slots.busy].some(({ thread }) => thread === threadId),
    onRetired: (thread) => ending.watch(thread, () => {}),
  });

  const threads = createPoolThreads({
    ...{ work: options.work, concurrency, size, idleMs: options.idleMs, isProbing: options.isProbing ?? false },
    data: {
      concurrency,
      clockOrigin: originOf(),
      tasks: options.tasks.map(({ name, file, settings, timeoutMs, isLoadedLate }) => ({
        ...{ name, file, settings, timeoutMs, isLoadedLate: isLoadedLate ?? false },
      })),
      resources,
      flags: slots.shared,
      spanLogs: slots.spanLogs,
      bell: bell.name,
      outputBounds: options.outputBounds,
      sources: options.sources,
    },
    chunks: () => slots.busy.size,
    usable: () => boots.usable(),
    isOpen,
    onPosted(slot, threadId) {
      (slots.at(slot) as Slot).thread = threadId;
    },
    onMessage: receive,
    onGone(threadId) {
      boots.gone(threadId);
      queueMicrotask(() => stalls.gone(threadId)); // after the rejections of its chunks
    },
    onError: (error) =>
      log.error({ pool: name, error: textOf(error, maxErrorChars) }, "a worker failed outside of a job"),
  });
  const boots = createThreadStartups({
    ...{ name, clock, log, loadMs: options.loadMs, threads: threads.all },
    onMissing: checkForThreads,
    onGivenUp() {
      threads.endProbe();
      giveUpWaiting(boots.working());
    },
  });
  const stalls = createStalls(options.graceMs, (...stall) => void ends.onStalled(...stall));
  const ends = createThreadEnds({
    ...{ pool: name, slots, stalls, terminations: ending, threadWith: threads.withId, log },
    isStopping: () => isStopping,
    onUnfit: boots.unfit,
  });
  const isStuck = () => slots.busy.size === 0 && slots.free() === 0;
  const handBacks = createHandBacks();
  const outcomes = createOutcomes({
    ...{ timeoutOf, handBacks, onProgress: events.last },
    maxHandBacks: options.maxHandBacks ?? defaultMaxHandBacks,
    isStopping: () => isStopping,
  });
  const stopping = createStopping({
    ...{ slots, clock, timeoutOf, kill: ends.kill },
    graceMs: options.graceMs,
    onBlocked(slot) {
      // the chunk may wait for the starting thread, or stalls.ts monitors its thread
      if (boots.isStarting() || isShared(slot)) return;
      log.warn(
        { pool: name },
        "a worker takes no jobs, perhaps blocked by leftovers of an ended job: it is terminated",
      );
      ends.abort(slot);
    },
    ring: () => isBellClosed || bell.postMessage(null),
  });
  const watchdog = createLoop({
    ...{ name: "watchdog", clock, everyMs: watchdogMs, startsAtOnce: true },
    round() {
      takeBack(stopping.check());
      if (concurrency > 1) stalls.check(busyThreads());
      return slots.busy.size > 0 ? watchdogMs : Number.POSITIVE_INFINITY;
    },
  });
  void watchdog.start();

  async function run(leases: readonly Lease[], callbacks: RunCallbacks): Promise<void> {
    const slot = isStopping ? undefined : slots.take(leases, callbacks, clock.monotonicMs());
    if (!slot) {
      if (!isStopping) log.error({ pool: name }, "jobs were sent to a pool without a free worker and are released");
      await Promise.resolve(); // nothing may be reported before `run` has returned
      return callbacks.onEnded(leases.map(unstarted));
    }
    watchdog.wake();
    const ended = await outcome(slot);
    slots.release(slot);
    report(ended, callbacks);
  }

  function report(ended: readonly Ended[], { onEnded }: RunCallbacks): void {
    events.forget(ended);
    handBacks.forget(ended);
    if (ended.length > 0) onEnded(ended);
  }

  function receive(message: ThreadMessage): void {
    switch (message.kind) {
      case "resources":
        return links.open(threads.withId(message.thread), message.port);
      case "loading":
        return boots.loading(message.thread, message.task);
      case "unready":
        return boots.failed(message.thread, message.why);
      case "ready":
        for (const slot of waiting()) slot.sentMs = clock.monotonicMs();
        boots.ready(message.thread);
        stalls.ready(message.thread, message.pulse);
        return options.onReady?.();
      case "ended":
        return onEndedEarly(message);
      case "fault":
        return ends.onFault(message);
      default:
        return events.receive(message);
    }
  }

  /** The message may arrive after the end of the chunk or the death of its thread, when all outcomes are known. */
  function onEndedEarly({ slot: index, chunk, from, outcomes: early }: EndedMessage): void {
    const slot = slots.at(index);
    if (!slot || slot.number !== chunk || slot.known !== from) return;
    const known = unpackOutcomes(early, 0);
    const ended = outcomes.ofChunk(slot, known, clock.exactNow());
    slot.known += known.length;
    report(ended, slot.callbacks);
  }

  async function outcome(slot: Slot): Promise<readonly Ended[]> {
    try {
      const all = (await send(slot)) as PackedOutcomes;
      boots.worked(slot.thread);
      return outcomes.ofChunk(slot, unpackOutcomes(all, slot.known), clock.exactNow());
    } catch (error) {
      ends.onDeath(slot, error);
      return outcomes.ofDeath(slot, error, clock.exactNow());
    } finally {
      slot.known = Number.POSITIVE_INFINITY;
    }
  }

  function send(slot: Slot): Promise<unknown> {
    const isThreadMissing = slots.busy.size > boots.working() * concurrency;
    const ended = threads.run(chunkOf(slot), (end) => {
      slot.end = end;
    });
    if (isThreadMissing) boots.watch();
    return ended;
  }

  const waiting = () => [...slots.busy].filter(isWaiting);

  /** Whether the thread takes what is posted to it at once. */
  function isOpen(threadId: number): boolean {
    return stalls.isOpen(threadId) && !late.has(threadId);
  }

  /**
   * Withdraws chunks that their threads do not take, if another thread could take them. A thread that is still starting
   * does not count as late.
   */
  function takeBack(chunks: readonly Slot[]): void {
    const those = chunks.filter(({ thread }) => stalls.pulseOf(thread));
    late = new Set(those.map(({ thread }) => thread));
    if (late.size > 0 && threads.all().some(({ threadId }) => isOpen(threadId))) those.forEach(stopping.withdraw);
  }

  /** Threads that have taken a chunk. */
  function busyThreads(): ReadonlySet<number> {
    return new Set([...slots.busy].map(({ flags }) => threadOf(flags)).filter((thread) => thread !== 0));
  }

  /** Whether its thread has taken another chunk, so that stalls.ts monitors its event loop. */
  const isShared = ({ thread }: Slot) => busyThreads().has(thread);

  /** Releases chunks that no thread took and that exceed what these threads can take: they run later, with a new thread. */
  function giveUpWaiting(available: number): void {
    const missing = slots.busy.size - available * concurrency;
    if (missing <= 0) return;
    const orphans = waiting().filter((slot) => !isShared(slot));
    for (const slot of orphans.slice(-missing)) ends.abort(slot);
  }

  function checkForThreads(): void {
    giveUpWaiting(threads.all().length);
    if (threads.all().length > 0 || isStopping) return;
    threads.probe(); // detects when threads can start again
    boots.watch();
  }

  function releaseAll(): void {
    isStopping = true;
    threads.retire();
    stopping.releaseAll();
  }

  async function end(): Promise<void> {
    releaseAll();
    isBellClosed = true;
    bell.close();
    void watchdog.stop();
    await within(clock, bootMs, boots.stop());
    await links.tearDown();
    const hasEnded = await within(clock, endMs, Promise.all([threads.destroy(), ending.allEnded()]));
    if (!hasEnded) log.warn({ pool: name }, "some workers did not end, and are left running");
  }

  /** While threads fail to start, accepts chunks for the working ones, and after each pause for one that may start. */
  function free(): number {
    if (!boots.isFailing()) return slots.free();
    if (boots.isBroken()) return 0;
    const working = boots.working();
    const mayStart = working > 0 && !boots.isPausing() && !boots.isStarting();
    const places = (working + (mayStart ? 1 : 0)) * concurrency;
    return Math.max(Math.min(slots.free(), places - slots.busy.size), 0);
  }

  boots.watch();
  return {
    name,
    concurrency,
    bounds: size.bounds,
    target: size.target,
    workers: () => threads.all().length,
    busyWorkers: () => busyThreads().size,
    setTarget: threads.setTarget,
    resize(bounds) {
      threads.resize(bounds);
      boots.watch();
    },
    threads: threads.all,
    wakeIdle: threads.wakeIdle,
    free,
    canRun: () => !isStuck() && !boots.isBroken(),
    startingMs(seq) {
      const slot = boots.isStarting()
        ? waiting().find(({ leases }) => leases.some((lease) => lease.seq === seq))
        : undefined;
      return slot && clock.monotonicMs() - slot.sentMs;
    },
    run,
    progressOf: events.progressOf,
    cancel: stopping.cancel,
    withdraw: stopping.withdrawAll,
    releaseAll,
    retire() {
      threads.retire();
      stopping.withdrawAll();
    },
    destroy: () => (destroying ??= end()),
  };
}

/** Whether no thread has taken its chunk. */
function isWaiting({ flags }: Slot): boolean {
  return threadOf(flags) === 0;
}

function resourcesOf(tasks: readonly PoolTask[]): readonly PoolResource[] {
  return [...new Map(tasks.flatMap(({ resources }) => resources.map((each) => [each.name, each]))).values()];
}
