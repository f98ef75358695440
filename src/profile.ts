/** Profiles of the server's threads: requests and results. telemetry/profiler.ts takes them. */

/**
 * `cpu`: where a thread spends its time. `allocations`: which functions allocated the memory in use, by samples.
 * `heap`: everything on a thread's heap, payloads included; the thread is blocked until it is written.
 */
export const profileKinds = ["cpu", "allocations", "heap"] as const;
export type ProfileKind = (typeof profileKinds)[number];

export type ProfileRequest = {
  readonly kind: ProfileKind;
  /** `main`, `store`, or a pool for all of its threads. Empty: all threads, but not for `heap`. */
  readonly target: string;
  /** Duration of a `cpu` or `allocations` recording, in milliseconds. */
  readonly durationMs: number;
};

/** Of one thread: `main`, `store`, or a pool's with its number, such as `cpu-7`. */
export type Profile = { readonly thread: string } & (
  | { readonly path: string; readonly bytes: number }
  /** Why the profile could not be taken. */
  | { readonly error: string }
);

export type Profiler = {
  /**
   * Takes one profile at a time: throws `profile_running` while another is taken, `invalid_argument` for an unknown
   * target, and `disk_full` while submits are refused for lack of disk space. A recording whose `signal` aborts ends
   * early and is written.
   */
  profile(request: ProfileRequest, signal: AbortSignal): Promise<readonly Profile[]>;
};
