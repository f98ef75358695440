/** Profiles of the server's threads: what can be asked for, and what comes of it. telemetry/profiler.ts takes them. */

/**
 * `cpu`: what a thread spends its time on. `allocations`: which functions allocate the memory that is in use, by samples.
 * `heap`: everything in a thread's memory, payloads too; the thread stands still until it is written.
 */
export const profileKinds = ["cpu", "allocations", "heap"] as const;
export type ProfileKind = (typeof profileKinds)[number];

export type ProfileRequest = {
  readonly kind: ProfileKind;
  /** `main`, `store`, or a pool for all of its threads. Empty: all threads, but not for `heap`. */
  readonly target: string;
  /** How long `cpu` and `allocations` are recorded, in milliseconds. */
  readonly durationMs: number;
};

/** Of one thread: `main`, `store`, or a pool's with its number, such as `cpu-7`. */
export type Profile = { readonly thread: string } & (
  | { readonly path: string; readonly bytes: number }
  /** Why there is none. */
  | { readonly error: string }
);

export type Profiler = {
  /**
   * Takes one profile at a time: throws `profile_running` while another is taken, `invalid_argument` for an unknown target,
   * and `disk_full` while jobs are refused for that. A recording whose `signal` aborts ends early and is written.
   */
  profile(request: ProfileRequest, signal: AbortSignal): Promise<readonly Profile[]>;
};
