/**
 * Things that tasks share and keep between jobs, such as connections: set up once in each worker thread that needs
 * them, with limits for the whole process. Defined in a file that the tasks import:
 *
 *     export const billing = defineResource({
 *       name: "billing",
 *       settings: ({ url = "https://billing.example" }) => ({ url: String(url) }),
 *       permits: () => ({ connections: 10 }),
 *       setup: ({ settings, permits }) => openClient(settings.url, permits("connections")),
 *       teardown: (client) => client.close(),
 *     });
 *
 * A task lists it as `resources: { billing }`, and gets its value in `ctx.resources.billing`.
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
   * Creates the value for the tasks of this thread, before the first attempt that uses it and as part of that attempt's
   * time. If it fails, so does the attempt, with the error's own reason or `resource_unavailable`; permits that it
   * acquired are released, and the next attempt sets up again.
   */
  setup(ctx: ResourceContext<S>): V | Promise<V>;
  /**
   * Checks whether the resource is available, and throws an Error with the reason if not; or reports its parts, see
   * `report`. One thread runs it at the start, so that health shows an unavailable server before a job needs it, and
   * with increasing pauses while there is a problem. Its signal aborts after ten seconds, which is a problem unless it
   * waits for a permit then, and when an attempt of the thread starts to use the resource; that attempt waits for its
   * end. `isWell`: whether some thread has reported the part to be healthy, so that it needs no probe.
   */
  probe?(value: V, signal: AbortSignal, isWell: (part: string) => boolean): void | Promise<void>;
  /**
   * Releases the value when the server stops, after a reload, and when the thread ends because it was idle. May take at
   * most `graceMs`. Not called if the thread dies, or is terminated because of a job that does not stop.
   */
  teardown?(value: V): void | Promise<void>;
};

/** A resource created by `defineResource`. */
export type Resource<V, S = unknown> = ResourceDefinition<V, S>;

/** The context of a resource: valid as long as its thread lives, also between attempts. */
export type ResourceContext<S> = {
  /** The resource's section of the configuration, as its `settings` read it. */
  readonly settings: S;
  /** Aborts when the attempts for which `setup` runs should stop. A setup that ignores it ends with its thread. */
  readonly signal: AbortSignal;
  /** The permits of this name; throws if `permits` returned none. */
  permits(name: string): Permits;
  /** Writes to the server's log, with the resource's name; at most 20 lines per second and thread. */
  readonly log: TaskLog;
  /**
   * Reports a problem of a part of the resource, such as one of several servers; undefined: it is healthy. Health and
   * Stats show the text to any client, so it must contain no secrets; text beyond 500 characters is truncated. Cheap
   * when nothing changes.
   */
  report(part: string, problem: string | undefined): void;
};

/**
 * Permits of one name. Threads cannot share sockets, so each has connections of its own and holds a permit for each
 * open one: then there are never more than the limit. When a thread ends, for any reason, its permits are released.
 */
export type Permits = {
  readonly limit: number;
  /** Resolves in the order of the calls, over all threads; rejects with the signal's reason when that aborts first. */
  acquire(signal: AbortSignal): Promise<Permit>;
  /**
   * Calls `listener` when another thread waits, every 250 ms while it does: close something idle and release its
   * permit. Also called during attempts, and again when one ends: close nothing that is in use. Not called within 250
   * ms after a permit was acquired, so that connections are not reopened for every job under load. Returns a function
   * that removes the listener.
   */
  onWanted(listener: () => void): () => void;
};

export type Permit = {
  /** Releases the permit; a second call does nothing. */
  release(): void;
};

/** A resource of any type. */
export type AnyResource = ResourceDefinition<unknown, unknown>;

/** The resources of a task, by the task's names for them. */
export type Resources = { readonly [name: string]: AnyResource };

export type NoResources = { readonly [name: string]: never };

/** The values in a task's `ctx.resources`. */
export type ValuesOf<R extends Resources> = {
  readonly [N in keyof R]: R[N] extends ResourceDefinition<infer V, infer _S> ? V : never;
};

/** The settings of resources, which are passed to a task's `check`. */
export type SettingsOf<R extends Resources> = {
  readonly [N in keyof R]: R[N] extends ResourceDefinition<infer _V, infer S> ? S : never;
};

const brand: unique symbol = Symbol.for("millpond.resource");

/** Marks an object as a resource. It is checked when the server loads a task that uses it. */
export function defineResource<V, S = undefined>(definition: ResourceDefinition<V, S>): Resource<V, S> {
  return Object.freeze({ ...definition, [brand]: true });
}

/** Whether a value was created by `defineResource`, even by another copy of this package. */
export function isResource(value: unknown): value is AnyResource {
  return typeof value === "object" && value !== null && brand in value;
}
