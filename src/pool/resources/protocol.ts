/** The messages between a worker thread and the server about resources. All of them are plain data. */
import type { JsonValue } from "../../job/job.ts";
import type { LogLevel } from "../task-log.ts";

/** What a thread needs to know of a resource. */
export type PoolResource = {
  readonly name: string;
  readonly settings: unknown;
  /** How many there are in the whole server, by name. */
  readonly permits: { readonly [name: string]: number };
  /** Whether it can be asked how it is. */
  readonly hasProbe: boolean;
};

/** Permits of one name. */
export type PermitsOf = { readonly resource: string; readonly permits: string };

/** From a thread to the server. */
export type FromThread =
  /** It waits for a permit, which is known by this number, unlike any other of the thread. */
  | (PermitsOf & { readonly kind: "acquire"; readonly number: number })
  /** It returns a permit, or waits for it no longer. */
  | { readonly kind: "release"; readonly number: number }
  /** It keeps permits for what may be idle, and is to be notified when others wait. */
  | (PermitsOf & { readonly kind: "listen" })
  | (PartReport & { readonly kind: "report" })
  | {
      readonly kind: "log";
      readonly resource: string;
      readonly level: LogLevel;
      readonly text: string;
      readonly fields: { readonly [key: string]: JsonValue };
    }
  /** It has reported what it was asked for; or has nothing to report, for an attempt or a wait for permits cut it short. */
  | { readonly kind: "probed"; readonly resource: string; readonly isCut: boolean }
  /** Its resources are torn down. */
  | { readonly kind: "ended" };

/** From the server to a thread. */
export type ToThread =
  | { readonly kind: "granted"; readonly number: number }
  /** Other threads wait for a permit: this one should release one that it holds for something idle, after this delay in ms. */
  | (PermitsOf & { readonly kind: "wanted"; readonly afterMs: number })
  /** None waits any more. */
  | (PermitsOf & { readonly kind: "unwanted" })
  /** It should probe the resource, and report. */
  | { readonly kind: "probe"; readonly resource: string }
  /** What some thread has reported. */
  | (PartReport & { readonly kind: "reported" })
  /** The thread is about to end. */
  | { readonly kind: "end" };

/** How a part of a resource is; the empty part is the resource itself. */
export type PartReport = { readonly resource: string; readonly part: string; readonly problem: string | undefined };
