import type { Service as RunningPart } from "../lifecycle.ts";

/** Bounds that every front end enforces. */
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
  /** A response that its client does not read is cut after this many milliseconds. */
  readonly slowReaderMs: number;
  /** How long a client may take to send the head of a request, or to make progress with its body. */
  readonly slowSenderMs: number;
  /** The gRPC port pings a connection this long after its last answer, and cuts it when the next takes longer than `keepaliveTimeoutMs`. */
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
   * Asks the clients of every connection to go elsewhere; open calls go on. Later connections are served until the stop, for
   * health probes, acknowledgements and reads.
   */
  drain(): void;
};
