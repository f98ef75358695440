/** The messages between a worker thread and the server about resources. All of them are plain data. */
import type { JsonValue } from "../../job/job.ts";
import type { LogLevel } from "../task-log.ts";

/** The parts of a resource that a thread needs. */
export type PoolResource = {
  readonly name: string;
  readonly settings: unknown;
  /** Number of permits in the whole server, by name. */
  readonly permits: { readonly [name: string]: number };
  /** Whether it has a probe. */
  readonly hasProbe: boolean;
};

/** Permits of one name. */
export type PermitsOf = { readonly resource: string; readonly permits: string };

/** From a thread to the server. */
export type FromThread =
  /** Requests a permit, identified by this number, which is unique in the thread. */
  | (PermitsOf & { readonly kind: "acquire"; readonly number: number })
  /** Releases a permit, or cancels its request. */
  | { readonly kind: "release"; readonly number: number }
  /** Asks to be notified when others wait, because it may hold permits of idle things. */
  | (PermitsOf & { readonly kind: "listen" })
  | (PartReport & { readonly kind: "report" })
  | {
      readonly kind: "log";
      readonly resource: string;
      readonly level: LogLevel;
      readonly text: string;
      readonly fields: { readonly [key: string]: JsonValue };
    }
  /** A requested probe has ended. `isCut`: without a result, because an attempt or a wait for permits ended it early. */
  | { readonly kind: "probed"; readonly resource: string; readonly isCut: boolean }
  /** The thread's resources are torn down. */
  | { readonly kind: "ended" };

/** From the server to a thread. */
export type ToThread =
  | { readonly kind: "granted"; readonly number: number }
  /** Other threads wait for a permit: release one of something idle, after this delay in ms. */
  | (PermitsOf & { readonly kind: "wanted"; readonly afterMs: number })
  /** No other thread waits any more. */
  | (PermitsOf & { readonly kind: "unwanted" })
  /** Probe the resource and report. */
  | { readonly kind: "probe"; readonly resource: string }
  /** A report of any thread. */
  | (PartReport & { readonly kind: "reported" })
  /** The thread is about to end. */
  | { readonly kind: "end" };

/** The health of a part of a resource; the empty part is the resource itself. */
export type PartReport = { readonly resource: string; readonly part: string; readonly problem: string | undefined };
