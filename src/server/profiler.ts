/** Which of the server's threads can be profiled, and where the files go. */
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import type { Service } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import type { ThreadPool } from "../pool/pool.ts";
import type { Profiler } from "../profile.ts";
import { createProfileFolder } from "../telemetry/profile-folder.ts";
import { createProfiler, type ProfilerParts } from "../telemetry/profiler.ts";

/** Duration of a profile that a signal requests. */
const signalMs = 10_000;

/**
 * `storeThreads`: none if the store is in memory.
 */
export function createServerProfiler(
  { store, dataDir }: Pick<Config, "store" | "dataDir">,
  {
    pools,
    storeThreads,
    ...parts
  }: Pick<ProfilerParts, "diskRefusal" | "clock" | "log"> & {
    readonly pools: readonly Pick<ThreadPool, "name" | "threads" | "wakeIdle">[];
    readonly storeThreads: readonly Worker[];
  },
): Profiler & Service {
  const targets: [name: string, threads: () => readonly Worker[], wake?: () => void][] = pools.map(
    ({ name, threads, wakeIdle }) => [name, threads, wakeIdle],
  );
  if (storeThreads.length > 0) targets.unshift(["store", () => storeThreads]);
  const folder = createProfileFolder(store === "memory" ? null : join(dataDir, "profiles"));
  return createProfiler({ ...parts, folder, targets });
}

/** A CPU profile of all threads for a caller that gets no answer, such as a signal: the log names the files. */
export async function profileAll(profiler: Profiler, log: Log): Promise<void> {
  try {
    await profiler.profile({ kind: "cpu", target: "", durationMs: signalMs }, new AbortController().signal);
  } catch (error) {
    log.warn({ error: messageOf(error) }, "the profile could not be taken");
  }
}
