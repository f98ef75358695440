import type { Service as RunningPart } from "../lifecycle.ts";

/** Bounds that every front end enforces. */
export type FrontEndLimits = {
  /** Size of one message, before and after decompression. */
  readonly messageBytes: number;
  /** Number of fields, list items, map entries and JSON values in one request. */
  readonly values: number;
  /** Concurrent calls on one connection. */
  readonly streams: number;
  /** Size of the metadata of one call. */
  readonly metadataBytes: number;
  /** Memory of one HTTP/2 session, in MiB. */
  readonly sessionMemoryMiB: number;
  /** A call whose client does not read the response for this many milliseconds is cut off. */
  readonly slowReaderMs: number;
  /** How long a client may take to send the headers of a request, or to make progress with its body. */
  readonly slowSenderMs: number;
  /**
   * The gRPC port pings a connection this long after its last response, and cuts it when the next one takes longer than
   * `keepaliveTimeoutMs`.
   */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** How long `stop` waits for calls to end before it cuts them off. */
  readonly closeMs: number;
};

/** Serves services to the network. Ready when started; stopped when every connection is closed. */
export type FrontEnd = RunningPart & {
  /** `host:port`, with the port that was bound. */
  address(): string;
  /**
   * Asks clients to open no more calls on their connections; open calls continue. New connections are served until
   * `stop`, for health probes, acknowledgements and reads.
   */
  drain(): void;
};
