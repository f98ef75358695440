import type { Service as RunningPart } from "../lifecycle.ts";

/** Bounds that every front end holds its callers to. */
export type FrontEndLimits = {
  /** One message, before and after decompression. */
  readonly messageBytes: number;
  /** Fields, items, entries and JSON values of one request. */
  readonly values: number;
  /** Calls at the same time on one connection. */
  readonly streams: number;
  /** Metadata of one call. */
  readonly metadataBytes: number;
  /** Memory of one HTTP/2 session, in MiB. */
  readonly sessionMemoryMiB: number;
  /** A response that its client does not read is cut after this long. */
  readonly slowReaderMs: number;
  /** How long a client may take for the head of a request. */
  readonly slowSenderMs: number;
  /** A connection of HTTP/2 is pinged this long after the last answer, and cut when the next takes longer than `keepaliveTimeoutMs`. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** How long a stop waits for calls to end before it cuts them. */
  readonly closeMs: number;
};

/** Serves services to the network. Ready when started; stopped when every connection is closed. */
export type FrontEnd = RunningPart & {
  /** `host:port`, with the port that was bound. */
  address(): string;
  /**
   * Tells the clients of every connection to go elsewhere; calls that are open go on. Connections that are made later are
   * served: health probes, acknowledgements and reads come that way until the stop.
   */
  drain(): void;
};
