/**
 * What tasks share and keep from job to job, such as connections: set up once in each worker thread that needs it, with
 * limits that hold for the whole process. A file beside the tasks, which they import:
 *
 *     export const billing = defineResource({
 *       name: "billing",
 *       settings: ({ url = "https://billing.example" }) => ({ url: String(url) }),
 *       permits: () => ({ connections: 10 }),
 *       setup: ({ settings, permits }) => openClient(settings.url, permits("connections")),
 *       teardown: (client) => client.close(),
 *     });
 *
 * A task names it, `resources: { billing }`, and has its value in `ctx.resources.billing`.
 */
import type { TaskLog } from "./task-log.ts";

export type ResourceDefinition<V, S> = {
  /** Like a task's: at most 100 characters of [a-z0-9._-], starting with a letter. Unique among all resources. */
  readonly name: string;
  /**
   * Reads `resources.<name>` of the configuration (an empty object when it is missing), fills in defaults, and throws an
   * Error whose message says what is wrong. Runs once, at start; what it returns must be plain data.
   */
  settings?(given: { readonly [key: string]: unknown }): S;
  /** How many permits of each name there are in the whole server, over all threads: 1 to 10000. Runs once, at start. */
  permits?(settings: S): { readonly [name: string]: number };
  /**
   * Makes what the tasks of this thread get: before the first attempt that uses it, as part of that attempt's time. When it
   * fails, so does the attempt, with the error's own reason or `resource_unavailable`, permits that it acquired go back, and
   * the next attempt sets up again.
   */
  setup(ctx: ResourceContext<S>): V | Promise<V>;
  /**
   * Asks whether what it needs is there, and throws an Error that says why not; or reports parts of it, see `report`. One
   * thread runs it at the start, so that health shows a server that is away before a job needs it, and with growing pauses
   * while there is a problem. Its signal aborts after ten seconds, which is a problem unless it waits for a permit then; and
   * when an attempt of the thread begins to use the resource, which waits for its end. `isWell`: which parts some thread
   * has reported to be well, so that they need no probe.
   */
  probe?(value: V, signal: AbortSignal, isWell: (part: string) => boolean): void | Promise<void>;
  /**
   * Lets go of it: when the server stops, after a reload, and when the thread ends because it was idle. Takes at most `graceMs`;
   * a thread that dies, or is ended with a job that does not stop, has no time for it.
   */
  teardown?(value: V): void | Promise<void>;
};

/** A resource as `defineResource` makes it. */
export type Resource<V, S = unknown> = ResourceDefinition<V, S>;

/** What a resource may use: as long as its thread lives, also between attempts. */
export type ResourceContext<S> = {
  /** The resource's section of the configuration, as its `settings` read it. */
  readonly settings: S;
  /** Aborts when the attempt for which `setup` runs should stop. One that goes on all the same ends with its thread. */
  readonly signal: AbortSignal;
  /** The permits of this name; throws when `permits` gave none. */
  permits(name: string): Permits;
  /** Writes to the server's log, with the resource's name; at most 20 lines per second and thread. */
  readonly log: TaskLog;
  /**
   * Says that a part of it, such as one server of several, is away, and why; undefined: it is well. Health and Stats show
   * it to whoever asks, so no secret may be in it; text beyond 500 characters is cut. Cheap when nothing changes.
   */
  report(part: string, problem: string | undefined): void;
};

/**
 * Permits of one name. Threads share no sockets, so each keeps connections of its own, and holds a permit for each that is
 * open: then there are never more than the limit. Those of a thread that ends, in whatever way, go back.
 */
export type Permits = {
  readonly limit: number;
  /** Resolves in the order of the calls, over all threads; rejects with the signal's reason when that aborts first. */
  acquire(signal: AbortSignal): Promise<Permit>;
  /**
   * Calls back when another thread waits, every 250 ms while it does: whoever keeps a permit for something idle closes that
   * and releases it. Also during attempts, and again when one ends: close nothing that is in use. Not within 250 ms after a
   * permit was got, so that under load connections do not change hands with every job. Returns what ends it.
   */
  onWanted(listener: () => void): () => void;
};

export type Permit = {
  /** Gives it back; a second call does nothing. */
  release(): void;
};

/** A resource whose types are not known here. */
export type AnyResource = ResourceDefinition<unknown, unknown>;

/** What a task uses, by the names that it has for them. */
export type Resources = { readonly [name: string]: AnyResource };

export type NoResources = { readonly [name: string]: never };

/** The values that a task has in `ctx.resources`. */
export type ValuesOf<R extends Resources> = {
  readonly [N in keyof R]: R[N] extends ResourceDefinition<infer V, infer _S> ? V : never;
};

/** What a task's `check` knows of them: their settings. */
export type SettingsOf<R extends Resources> = {
  readonly [N in keyof R]: R[N] extends ResourceDefinition<infer _V, infer S> ? S : never;
};

const brand: unique symbol = Symbol.for("millpond.resource");

/** Marks an object as a resource. It is checked when the server loads a task that uses it. */
export function defineResource<V, S = undefined>(definition: ResourceDefinition<V, S>): Resource<V, S> {
  return Object.freeze({ ...definition, [brand]: true });
}

/** Whether a value came from `defineResource`, also from another copy of this package. */
export function isResource(value: unknown): value is AnyResource {
  return typeof value === "object" && value !== null && brand in value;
}
