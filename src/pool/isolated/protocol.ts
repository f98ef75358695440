/** The messages between the server and a process that runs one job, by `process.send`. */
import type { Lease } from "../../job/job.ts";
import type { LogFields, LogLevel } from "../../log.ts";
import type { AttemptEvent, Ended, PoolOptions } from "../port.ts";
import type { RelayedAnswer, RelayedMessage } from "./resource-relay.ts";

/** Settings that the process gets before its job. */
export type ProcessSettings = Pick<
  PoolOptions,
  "name" | "work" | "tasks" | "sources" | "outputBounds" | "loadMs" | "graceMs" | "isTraced"
> & {
  readonly clockOrigin: number;
};

export type ToProcess =
  | { readonly kind: "start"; readonly settings: ProcessSettings }
  /** Sent once, and only after `ready`. */
  | { readonly kind: "run"; readonly lease: Lease }
  | { readonly kind: "cancel"; readonly seq: number }
  | { readonly kind: "release" }
  | RelayedAnswer;

export type EndedThere = Omit<Ended, "lease">;

export type FromProcess =
  /** Its worker has loaded its tasks. */
  | { readonly kind: "ready" }
  | { readonly kind: "event"; readonly event: AttemptEvent }
  | RelayedMessage
  | { readonly kind: "log"; readonly level: LogLevel; readonly fields: LogFields; readonly text: string }
  /** How the job ended; earlier messages of the job may arrive later. */
  | { readonly kind: "ended"; readonly ended: EndedThere }
  /** The last message. */
  | { readonly kind: "over" };
