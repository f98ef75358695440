/** Takes profiles of this process's threads on demand, one at a time. */
import { rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Worker } from "node:worker_threads";
import { type Clock, pause } from "../clock.ts";
import { invalid, type MillpondError, messageOf, refusal } from "../errors.ts";
import { endedThreadId, requestHeapSnapshot } from "../heap-snapshots.ts";
import { createSignal, type Service } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import type { Profile, ProfileKind, Profiler, ProfileRequest } from "../profile.ts";
import { heapBytes, recordAllocations, recordCpu, type Recording, type Thread, writeOwnHeap } from "./inspector.ts";
import { freeBytes, type ProfileFolder, wholeBytes, writePrivate } from "./profile-folder.ts";

export type ProfilerParts = {
  readonly folder: ProfileFolder;
  /**
   * The threads besides the main one, by target name: `store` or a pool's name. A pool may itself be called `store` or
   * `main`; that target then selects both. `wake` makes parked threads handle their messages.
   */
  readonly targets: readonly (readonly [name: string, threads: () => readonly Worker[], wake?: () => void])[];
  /** Why nothing may be written to the disk now; undefined: writing is allowed. */
  readonly diskRefusal: () => MillpondError | undefined;
  readonly clock: Clock;
  readonly log: Log;
};

/**
 * How long a thread may take to start or end a recording: a thread in a native call responds only when the call
 * returns. A heap snapshot also waits for a loop that does not yield.
 */
const answerMs = 5_000;
/** Wait before the next request to a thread that does not answer yet, perhaps because it is still starting. */
const retryMs = 50;
/** How long the heap snapshot of one thread may take. */
const longestHeapMs = 120_000;
/** How long `stop` waits for a profile under way. */
const stopMs = 3_000;
/** Upper estimate of a heap snapshot's size as a multiple of the heap, and the disk space to leave free beside it. */
const heapGrowth = 2;
const reserveBytes = 64 * 2 ** 20;

const main = "main";
const extensions = { cpu: "cpuprofile", allocations: "heapprofile", heap: "heapsnapshot" } as const;

type Named = { readonly name: string; readonly thread: Thread | undefined; readonly wake?: (() => void) | undefined };

/** `stop` ends the current recording and waits up to three seconds until it is written. */
export function createProfiler({ folder, targets, diskRefusal, clock, log }: ProfilerParts): Profiler & Service {
  const stopping = new AbortController();
  let running: { readonly done: Promise<unknown>; readonly endsMs: number } | undefined;

  function threadsOf({ kind, target }: ProfileRequest): readonly Named[] {
    const known = [...new Set([main, ...targets.map(([name]) => name)])];
    if (target === "" ? kind === "heap" : !known.includes(target)) {
      const or = kind === "heap" ? "" : ", or empty for all threads";
      throw invalid([{ field: "target", description: `is "${target}" and must be one of ${known.join(", ")}${or}` }]);
    }
    const asked = targets.filter(([name]) => target === "" || target === name);
    const workers = asked.flatMap(([name, threads, wake]): Named[] => {
      const all = threads().map((thread) => ({
        wake,
        name: thread.threadName === name ? name : `${name}-${thread.threadId}`,
        thread,
      }));
      return all.length > 0 ? all : [{ name, thread: undefined }];
    });
    return target === "" || target === main ? [{ name: main, thread: null }, ...workers] : workers;
  }

  /** A recording that rejects, or takes too long, is reported for its thread; the others go on. */
  async function attempt(name: string, taking: () => Promise<Profile>): Promise<Profile> {
    try {
      return await taking();
    } catch (error) {
      log.warn({ thread: name, error: messageOf(error) }, "a thread could not be profiled");
      return { thread: name, error: messageOf(error) };
    }
  }

  async function answered<T>(answer: Promise<T>): Promise<T> {
    const late = createSignal<never>();
    const cancel = clock.after(answerMs, () =>
      late.fail(
        new Error(
          `it did not answer within ${answerMs} ms: it may be inside native code, or in a loop that never yields`,
        ),
      ),
    );
    try {
      return await Promise.race([answer, late.promise]);
    } finally {
      cancel();
    }
  }

  /** A thread refuses requests until it runs: they are repeated for up to `answerMs`. */
  async function whenRunning<T>(thread: Thread, ask: (thread: Thread) => Promise<T>): Promise<T> {
    const endMs = clock.monotonicMs() + answerMs;
    for (;;) {
      try {
        return await ask(thread);
      } catch (error) {
        const isNotRunning = (error as NodeJS.ErrnoException).code === "ERR_WORKER_NOT_RUNNING";
        const isOver = thread?.threadId === endedThreadId || stopping.signal.aborted || clock.monotonicMs() >= endMs;
        if (!isNotRunning || isOver) throw error;
      }
      await pause(clock, retryMs, stopping.signal);
    }
  }

  async function repeatedUntil(answer: Promise<void>, ask: () => void): Promise<void> {
    let cancel = () => {};
    const again = () => {
      ask();
      cancel = clock.after(retryMs, again);
    };
    again();
    await answer.finally(() => cancel());
  }

  async function record(kind: "cpu" | "allocations", threads: readonly Named[], path: PathOf, until: Promise<void>) {
    const begin = kind === "cpu" ? recordCpu : recordAllocations;
    return Promise.all(
      threads.map(({ name, thread }) =>
        attempt(name, async () => {
          const recording = await begun(whenRunning(present(thread), begin));
          await until;
          const text = await answered(recording.stop());
          return { thread: name, path: path(name), bytes: await writePrivate(path(name), text) };
        }),
      ),
    );
  }

  async function begun(starting: Promise<Recording>): Promise<Recording> {
    try {
      return await answered(starting);
    } catch (error) {
      starting.then((late) => late.stop()).catch(() => undefined); // a thread that starts late must stop recording, too
      throw error;
    }
  }

  /** One after the other: each snapshot is as large as the heap, and blocks its thread. */
  async function takeHeaps(threads: readonly Named[], path: PathOf, signal: AbortSignal): Promise<Profile[]> {
    const profiles: Profile[] = [];
    for (const named of threads)
      profiles.push(await attempt(named.name, () => takeHeap(named, path(named.name), signal)));
    return profiles;
  }

  async function takeHeap({ name, thread: given, wake }: Named, path: string, signal: AbortSignal): Promise<Profile> {
    const thread = present(given);
    const neededBytes = (await answered(whenRunning(thread, heapBytes))) * heapGrowth;
    const roomBytes = (await freeBytes(dirname(path))) - reserveBytes;
    if (roomBytes < neededBytes) {
      throw new Error(
        `its heap may take ${mib(neededBytes)} MiB, and the disk has room for ${mib(Math.max(roomBytes, 0))}: make room, or take --allocations`,
      );
    }
    const over = new AbortController();
    const cancel = clock.after(longestHeapMs, () => over.abort());
    try {
      const ending = AbortSignal.any([signal, over.signal]);
      if (thread) {
        const { send, begun, written } = requestHeapSnapshot(thread, path, clock.now() + answerMs, ending);
        await repeatedUntil(answered(begun), () => {
          send();
          wake?.();
        });
        await written;
      } else await writeOwnHeap(path, ending);
      return { thread: name, path, bytes: await wholeBytes(path) };
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      cancel();
    }
  }

  async function take(request: ProfileRequest, threads: readonly Named[], signal: AbortSignal) {
    const { kind, durationMs } = request;
    const at = await folder.make(kind, clock.now());
    const path: PathOf = (name) => join(at, `${name}.${extensions[kind]}`);
    log.info({ kind, folder: at, threads: threads.map(({ name }) => name) }, begins[kind]);
    const profiles =
      kind === "heap"
        ? await takeHeaps(threads, path, signal)
        : await record(kind, threads, path, pause(clock, durationMs, signal));
    const bytes = profiles.reduce((sum, profile) => sum + ("bytes" in profile ? profile.bytes : 0), 0);
    if (bytes > 0) log.info({ kind, folder: at, bytes }, "the profile is written");
    else await rmdir(at).catch(() => undefined);
    return profiles;
  }

  return {
    name: "profiler",
    async profile(request, signal) {
      const threads = threadsOf(request);
      const full = diskRefusal();
      if (full) throw full;
      if (running) {
        const retryAfterMs = Math.max(running.endsMs - clock.monotonicMs(), 1_000);
        throw refusal("profile_running", [], { retryAfterMs });
      }
      if (stopping.signal.aborted) throw refusal("draining", []);
      const done = take(request, threads, AbortSignal.any([signal, stopping.signal]));
      running = { done, endsMs: clock.monotonicMs() + request.durationMs };
      return done.finally(() => {
        running = undefined;
      });
    },
    async start() {},
    async stop() {
      stopping.abort();
      const over = new AbortController();
      const late = pause(clock, stopMs, over.signal);
      await Promise.race([running?.done.catch(() => undefined), late]);
      over.abort();
    },
  };
}

type PathOf = (name: string) => string;

const begins: { readonly [K in ProfileKind]: string } = {
  cpu: "a CPU profile is being taken",
  allocations: "a profile of allocations is being taken",
  heap: "a heap snapshot is being taken: its thread is blocked until it is written",
};

function present(thread: Thread | undefined): Thread {
  if (thread === undefined) throw new Error("no thread of it runs now");
  return thread;
}

function mib(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
