/**
 * The entry of a worker thread: loads its pool's tasks once, then runs chunks of jobs. Whatever a task does, an outcome
 * comes back for every job of the chunk, as data.
 */
import { parentPort, threadId, workerData } from "node:worker_threads";
import { systemClock as clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { type Chunk, type ChunkJob, type ChunkOutcome, flagsOf, type Note, noJob, type ThreadData } from "./chunk.ts";
import { decodeInput, encodeOutput } from "./codec.ts";
import { createContext, listenTo } from "./context.ts";
import { failureOf } from "./failure.ts";
import { resolveOwnPackage } from "./own-package.ts";
import { type AnyTask, TaskError } from "./task.ts";

/** A task, or why its file cannot be loaded here although the main thread could. */
type Runnable = { readonly definition: AnyTask; readonly settings: unknown } | { readonly broken: string };

// piscina hands its own data in front of ours
const thread = (Array.isArray(workerData) ? workerData.at(-1) : workerData) as ThreadData;

async function load(): Promise<(chunk: Chunk) => Promise<ChunkOutcome[]>> {
  listenTo(thread.bell);
  resolveOwnPackage();
  const tasks = new Map<string, Runnable>();
  for (const { name, file, settings } of thread.tasks) {
    try {
      const module = (await import(file)) as { default: AnyTask };
      tasks.set(name, { definition: module.default, settings });
    } catch (error) {
      tasks.set(name, { broken: messageOf(error) }); // a thread that fails to start would leave its first jobs waiting for ever
    }
  }
  parentPort?.postMessage({ kind: "ready", thread: threadId } satisfies Note);
  return async ({ slot, jobs }) => {
    const flags = flagsOf(thread.flags, slot);
    const outcomes: ChunkOutcome[] = [];
    for (const [index, job] of jobs.entries()) {
      Atomics.store(flags, 0, index);
      outcomes.push(await runJob(tasks, job, flags, 1 + index));
    }
    Atomics.store(flags, 0, noJob);
    return outcomes;
  };
}

async function runJob(
  tasks: ReadonlyMap<string, Runnable>,
  job: ChunkJob,
  flags: Int32Array,
  flag: number,
): Promise<ChunkOutcome> {
  const startedAt = clock.now();
  const start = clock.monotonicMs();
  const ended = (outcome: Pick<ChunkOutcome, "output" | "failure">): ChunkOutcome => {
    const tookMs = clock.monotonicMs() - start;
    return { ...outcome, startedAt, finishedAt: Math.round(startedAt + tookMs), tookMs };
  };
  const task = tasks.get(job.task) as Runnable; // the pool sends only tasks that it was given
  if ("broken" in task) return ended({ failure: failureOf(notLoaded(job.task, task.broken)) });
  const { definition, settings } = task;
  const context = createContext(job, settings, flags, flag);
  try {
    context.task.throwIfCancelled(); // told to stop while it waited for its neighbours
    const input = decodeInput(definition.input, job.input) as never;
    const output = await definition.run(input, context.task);
    return ended({ output: encodeOutput(definition.output, output, thread.maxOutputBytes) });
  } catch (error) {
    return ended({ failure: failureOf(error, context.isCancelled()) });
  } finally {
    context.end();
  }
}

function notLoaded(task: string, why: string): TaskError {
  return new TaskError("task_not_loaded", `the file of task "${task}" cannot be loaded in a worker thread: ${why}`);
}

export default load();
