import type { Service as RunningPart } from "../lifecycle.ts";

/** Bounds that every front end holds its callers to. */
export type FrontEndLimits = {
  /** One message, before and after decompression. */
  readonly messageBytes: number;
  /** Calls at the same time on one connection. */
  readonly streams: number;
  /** Metadata of one call. */
  readonly metadataBytes: number;
  /** Memory of one HTTP/2 session, in MiB. */
  readonly sessionMemoryMiB: number;
  /** How long a stop waits for calls to end before it cuts them. */
  readonly closeMs: number;
};

/** Serves the service to the network. Ready when started; stopped when every connection is closed. */
export type FrontEnd = RunningPart & {
  /** `host:port`, with the port that was bound. */
  address(): string;
};
