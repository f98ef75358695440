/**
 * Entry point of a worker thread: loads its pool's tasks once, then runs chunks of jobs. Whatever a task does, it
 * returns an outcome, as data, for every job of the chunk that started. Imports for every thread are costs of every
 * thread: what only some tasks need is imported when such a task is loaded.
 */
import { MessageChannel, parentPort, threadId, workerData } from "node:worker_threads";
import { systemClock as clock, takeOrigin } from "../clock.ts";
import { saveCompiledCode } from "../code-cache.ts";
import { answerHeapRequests } from "../heap-snapshots.ts";
import type { Payload } from "../job/job.ts";
import { isSampled } from "../job/trace.ts";
import { type Chunk, type ChunkJob, type ChunkOutcome, jobAt, jobCells } from "./chunk.ts";
import { noChunk, type PackedOutcomes, type ThreadData, type ThreadMessage, type ThreadTask } from "./chunk.ts";
import { type Declared, declared, decodeInput, encodeOutput } from "./codec.ts";
import { boundOutput } from "./printed.ts";
import { type AttemptEnd, createContext, listenTo } from "./context.ts";
import { createEarlyOutcomes, type EarlyOutcomes } from "./early-outcomes.ts";
import { failureOf } from "./failure.ts";
import { endAtFaults, type Fault, runAs, watchCallbacks } from "./faults.ts";
import { begin, end, type Flags, flagsOf, leave, take, withdraw } from "./flags.ts";
import { hookModules } from "./module-hooks.ts";
import { packOutcomes } from "./packed-outcomes.ts";
import { createBeating, createPulse, enterCode, leaveCode, type Pulse } from "./pulse.ts";
import type { FromThread, ToThread } from "./resources/protocol.ts";
import type { ThreadResources, UsedResources } from "./resources/thread-resources.ts";
import { spanLogOf, type SpanLog } from "./span-log.ts";
import type { AnyTask } from "./task.ts";
import { importTask } from "./tasks/module.ts";

type Loaded = {
  readonly definition: AnyTask;
  readonly input: Declared;
  readonly output: Declared;
  /** Null: no resources. */
  readonly uses: UsedResources | null;
};

type Runnable = Loaded & {
  readonly settings: unknown;
  readonly timeoutMs: number;
};

// piscina puts its own data in front of ours
const thread = (Array.isArray(workerData) ? workerData.at(-1) : workerData) as ThreadData;

async function load(): Promise<(chunk: Chunk | typeof noChunk) => Promise<PackedOutcomes | undefined>> {
  takeOrigin(thread.clockOrigin);
  listenTo(thread.bell);
  answerHeapRequests(clock.now);
  hookModules({ sources: thread.sources });
  for (const output of [process.stdout, process.stderr]) boundOutput(output);
  let isReady = false;
  let loading: string | undefined;
  /** Unreported outcomes of the running chunks, and of those that have just ended. */
  const underWay = new Set<EarlyOutcomes>();
  const fail = endAtFaults((fault) => {
    for (const early of underWay) early.flush();
    if (isReady) post({ kind: "fault", thread: threadId, ...fault });
    else postUnready(fault, loading);
  });
  const links = thread.resources.length > 0 ? await openResources() : undefined;
  const tasks = new Map<string, Runnable>();
  const loadNow = async ({ name, file, settings, timeoutMs }: ThreadTask) => {
    tasks.set(name, {
      ...(await loadTask({ name, file, resources: links?.resources, fail })),
      ...{ settings, timeoutMs },
    });
  };
  for (const task of thread.tasks.filter(({ isLoadedLate }) => !isLoadedLate)) {
    loading = task.name;
    post({ kind: "loading", thread: threadId, task: task.name });
    await loadNow(task);
  }
  loading = undefined;
  await new Promise((resolve) => setImmediate(resolve)); // immediate failures of code that the files started happen before any job runs
  saveCompiledCode();
  const pulse = createPulse();
  const beating = thread.concurrency > 1 ? createBeating(pulse) : undefined;
  if (beating) {
    watchCallbacks(
      (origin) => enterCode(pulse, origin),
      () => leaveCode(pulse),
    );
  }
  const flagsOfSlots: Flags[] = [];
  const spanLogsOfSlots: SpanLog[] = [];
  isReady = true;
  links?.link();
  post({ kind: "ready", thread: threadId, pulse });
  return async (chunk) => {
    if (chunk === noChunk) {
      await new Promise((resolve) => setImmediate(resolve)); // lets this thread handle pending messages
      return undefined;
    }
    const { slot, jobs } = chunk;
    const count = jobs.length / jobCells;
    const flags = (flagsOfSlots[slot] ??= flagsOf(thread.flags, slot));
    const spanLog = thread.spanLogs ? (spanLogsOfSlots[slot] ??= spanLogOf(thread.spanLogs, slot)) : null;
    beating?.begin();
    take(flags, threadId);
    const outcomes: (ChunkOutcome | null)[] = [];
    const early = createEarlyOutcomes(chunk, outcomes);
    underWay.add(early);
    for (let index = 0; index < count; index += 1) {
      const job = jobAt(chunk, index);
      let startMs = clock.monotonicMs();
      early.before(startMs);
      if (!tasks.has(job.task)) {
        await loadNow(thread.tasks.find(({ name }) => name === job.task) as ThreadTask); // the pool only sends its own tasks
        saveCompiledCode();
        startMs = clock.monotonicMs();
      }
      outcomes.push(await runJob(tasks, job, { flags, spanLog, pulse, slot, index, startMs }));
    }
    early.stop();
    // its outcomes go by another port than a fault of a neighbour in the same turn, and may arrive after that
    if (beating) setImmediate(() => underWay.delete(early));
    else underWay.delete(early);
    leave(flags);
    beating?.end();
    return packOutcomes(outcomes, 0);
  };
}

/** `link` sends the server its end of their channel. */
async function openResources() {
  const { createThreadResources } = await import("./resources/thread-resources.ts");
  const { port1, port2 } = new MessageChannel();
  const send = (message: FromThread) => port1.postMessage(message);
  const resources = createThreadResources({ resources: thread.resources, clock, send });
  return {
    resources,
    link() {
      port1.on("message", (message: ToThread) => resources.receive(message));
      parentPort?.postMessage({ kind: "resources", thread: threadId, port: port2 } satisfies ThreadMessage, [port2]);
    },
  };
}

type TaskToLoad = {
  readonly name: string;
  readonly file: string;
  readonly resources: ThreadResources | undefined;
  readonly fail: (error: unknown) => never;
};

/** A thread that cannot load a task ends: a failed import stays failed in this thread, but may succeed in the next one. */
async function loadTask({ name, file, resources, fail }: TaskToLoad): Promise<Loaded> {
  try {
    const origin = { task: name, id: null };
    const exported = await runAs(origin, () => importTask(file));
    if (exported.kind === "task" && exported.task.name === name) return await loadedOf(exported.task, resources);
    throw new Error(changed);
  } catch (error) {
    return fail(error);
  }
}

const changed = "the file has changed since the server started: restart the server";

async function loadedOf(definition: AnyTask, resources: ThreadResources | undefined): Promise<Loaded> {
  const { input, output } = definition;
  if (!resources && Object.keys(definition.resources ?? {}).length > 0) throw new Error(changed);
  return {
    definition,
    input: await declared(input, "input"),
    output: await declared(output, "output"),
    uses: resources?.usedBy(definition) ?? null,
  };
}

function postUnready({ origin, failure }: Fault, loading: string | undefined): void {
  const task = origin?.task ?? loading;
  const what = task === undefined ? "" : `task "${task}" cannot be loaded: `;
  post({ kind: "unready", thread: threadId, why: what + (failure.stack ?? failure.message) });
}

type JobPlace = {
  readonly flags: Flags;
  readonly spanLog: SpanLog | null;
  readonly pulse: Pulse;
  readonly slot: number;
  readonly index: number;
  readonly startMs: number;
};

async function runJob(
  tasks: ReadonlyMap<string, Runnable>,
  job: ChunkJob,
  place: JobPlace,
): Promise<ChunkOutcome | null> {
  const { flags, pulse, index, startMs } = place;
  const { seq, id, task, attempt, fence, trace, expiresAt } = job;
  const { definition, input, output, settings, timeoutMs, uses } = tasks.get(task) as Runnable; // the pool only sends tasks that this thread has loaded
  const startedAt = clock.exactNow();
  if (startedAt >= expiresAt) withdraw(flags, index, "expired"); // the deadline passed while the job waited in its chunk
  if (!begin(flags, index, startedAt)) return null;
  const deadlineAt = Math.min(Math.floor(startedAt) + (job.timeoutMs ?? timeoutMs), expiresAt);
  const origin = { task, id, seq, attempt, fence, trace };
  const context = createContext(job, { ...place, settings, deadlineAt, origin });
  let isUsing = false;
  enterCode(pulse, job);
  try {
    const decoded = decodeInput(input, ownInput(job)) as never;
    context.task.throwIfCancelled(); // decoding a first or a large input takes milliseconds
    if (uses) {
      isUsing = true;
      leaveCode(pulse);
      context.provide(await uses.begin(context.task.signal));
      enterCode(pulse, job);
    }
    // awaited inside, too: a returned thenable may start its work only when it is awaited
    const running = runAs(origin, () => Promise.resolve(definition.run(decoded, context.task)));
    leaveCode(pulse);
    const returned = await running;
    enterCode(pulse, job);
    const encoded = encodeOutput(output, returned, thread.outputBounds);
    const left = context.end();
    end(flags, index);
    return withRest([startedAt, clock.monotonicMs() - startMs, encoded, null], job, left);
  } catch (error) {
    enterCode(pulse, job);
    const failure = failureOf(error); // while the job still counts as running, because an error may have getters that never return
    const left = context.end();
    const fault = end(flags, index) ?? failure;
    return withRest([startedAt, clock.monotonicMs() - startMs, null, fault], job, left);
  } finally {
    leaveCode(pulse);
    if (isUsing) uses?.end();
  }
}

/** Copies the input: a task may keep it, and a view would keep the inputs of the whole chunk in memory. */
function ownInput({ input }: ChunkJob): Payload | null {
  return input && { ...input, bytes: new Uint8Array(input.bytes) };
}

/** Appends progress and spans. Most jobs have none, so their outcomes stay short. */
function withRest(outcome: ChunkOutcome, job: ChunkJob, left: AttemptEnd | undefined): ChunkOutcome {
  if (!left) return outcome;
  const [startedAt, tookMs, output, fault] = outcome;
  return [startedAt, tookMs, output, fault, left.progress, isExported(job, fault) ? left.spans : undefined];
}

/** Spans are exported when the job's trace is sampled, and when the attempt fails. */
function isExported({ trace }: ChunkJob, fault: ChunkOutcome[3]): boolean {
  if (trace && isSampled(trace)) return true;
  return fault !== null && fault !== "cancelled" && fault !== "released";
}

function post(message: ThreadMessage): void {
  parentPort?.postMessage(message);
}

export default load();
