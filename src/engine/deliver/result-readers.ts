/**
 * Reads channels for the streams that follow them: from a cursor, in bounded batches, as soon as there are new results.
 *
 * A settlement numbers its result within the channel, in its own transaction, so that positions have no gaps. A stream
 * reads from a cursor on; the client acknowledges up to a position, on this stream or elsewhere. Acknowledged results
 * are skipped, and may be pruned. So results are redelivered, in order, until they are acknowledged, and the store
 * keeps no state of a stream: a client reopens a broken one behind its last result. Results that are read and not yet
 * passed on hold bytes of the read budget; a client that does not read only delays its own stream.
 */
import { isUnavailable, refusal } from "../../errors.ts";
import type { StoredResult } from "../../job/job.ts";
import type { Store } from "../../store/store.ts";
import { createPoller, type Polling } from "../poller.ts";
import type { Reservation, ReadBudget } from "./read-budget.ts";

export type ResultReader = {
  /** Results up to this position were returned, or skipped because they are acknowledged. */
  cursor(): number;
  /**
   * The next results: at most `limit`, and at most `maxBatchBytes` of outputs, with smaller batches at first. Waits for
   * the first result, and for the budget. Empty: there are no more and `stopAtEnd` is set, or the reader is closed. One
   * call at a time; a call implies that the results of the previous one are passed on, see `passedOn`.
   */
  next(limit: number): Promise<readonly StoredResult[]>;
  /** The results of the last `next` are passed on: releases their bytes, because the next call may come much later. */
  passedOn(): void;
  /** Ends a waiting `next`, and releases what it reserved. */
  close(): void;
};

export type ReadFrom = {
  readonly client: string;
  readonly channel: string;
  /** Reads after this position; `cursor_from_the_future` if no result has it yet. */
  readonly afterCursor: number;
  /** Whether to end instead of waiting for new results. */
  readonly stopAtEnd: boolean;
  /** Called when acknowledged results were skipped; `cursor` is behind them. */
  readonly onSkipped?: () => void;
  /** Called when results up to this position are acknowledged, on this stream or elsewhere. */
  readonly onAcknowledged?: (cursor: number) => void;
};

export type ResultReaders = {
  open(from: ReadFrom): Promise<ResultReader>;
  /** A channel may have new results. Hints may be superfluous or missing. */
  hint(client: string, channel: string): void;
  /** Results of a channel were acknowledged up to this position: notifies its readers. Calls may be missing. */
  acknowledged(client: string, channel: string, cursor: number): void;
  /** Number of open readers. */
  count(): number;
  /** Every reader, also one opened later, returns what is available and then ends. */
  closeAll(): void;
};

/** Bound on the results of one batch. */
export const maxBatch = 256;
/**
 * Bytes of a reader's first batch. While there is more, each batch is twice the previous one, up to `maxBatchBytes`, so
 * that a client that reads gets large ones, and many that do not read hold little.
 */
const firstBatchBytes = 64 * 1024;

type Reader = {
  /** The channel's last position; undefined: there may be something new. */
  wake(lastCursor?: number): void;
  finish(): void;
  acknowledged(cursor: number): void;
};
/** A channel and its open readers. */
type Channel = { readonly client: string; readonly name: string; readonly readers: Set<Reader> };

export type ReaderLimits = {
  /** Bound on the open readers of one client. */
  readonly maxPerClient: number;
  /** Bound on the stored outputs and failures of one batch; a larger result is a batch of its own. */
  readonly maxBatchBytes: number;
  /** Bounds the results that all readers have read and not yet passed on. */
  readonly budget: ReadBudget;
  readonly polling: Polling;
};

export function createResultReaders(store: Pick<Store, "results">, limits: ReaderLimits): ResultReaders {
  const { maxPerClient, maxBatchBytes, budget, polling } = limits;
  const poller = createPoller<Channel>(polling, (due) => Promise.all(due.map(poll)).then(() => undefined));
  const clients = new Map<string, Map<string, Channel>>();
  let isClosing = false;

  /** The channel's positions, without results. */
  const positionsOf = (client: string, channel: string) =>
    store.results({ client, channel, afterCursor: 0, limit: 0, maxBytes: 0 });

  async function poll({ client, name, readers }: Channel): Promise<void> {
    const positions = await positionsOf(client, name).catch(() => undefined); // the next read gets the error
    if (!positions) return;
    for (const reader of readers) {
      reader.acknowledged(positions.ackedCursor);
      reader.wake(positions.lastCursor);
    }
  }

  function enter(client: string, channel: string, reader: Reader): () => void {
    const channels = clients.get(client) ?? new Map<string, Channel>();
    if (countOf(channels) >= maxPerClient) {
      throw refusal("too_many_streams", [client, maxPerClient], { retryAfterMs: 1_000 });
    }
    const entered = channels.get(channel) ?? { client, name: channel, readers: new Set() };
    if (entered.readers.size === 0) poller.add(entered);
    entered.readers.add(reader);
    clients.set(client, channels.set(channel, entered));
    return () => {
      entered.readers.delete(reader);
      if (entered.readers.size > 0 || channels.get(channel) !== entered) return;
      poller.delete(entered);
      channels.delete(channel);
      if (channels.size === 0 && clients.get(client) === channels) clients.delete(client);
    };
  }

  const countOf = (channels: ReadonlyMap<string, Channel>) =>
    sum([...channels.values()].map(({ readers }) => readers.size));

  async function open(from: ReadFrom): Promise<ResultReader> {
    const { client, channel, afterCursor, stopAtEnd, onSkipped } = from;
    let cursor = afterCursor;
    let batchBytes = Math.min(firstBatchBytes, maxBatchBytes);
    /** Holds the bytes of the last batch. */
    let reservation: Reservation | undefined;
    /** Bytes of the last batch if it was a single result: the next one probably needs as many. */
    let single = 0;
    let isClosed = false;
    let isFinishing = stopAtEnd || isClosing;
    /** The highest acknowledged position that this reader knows of. */
    let acked = 0;
    /** Whether a hint arrived, or a poll found something, since the last read. */
    let isHinted = true;
    let wake = () => {};
    const reader: Reader = {
      wake(lastCursor = Number.POSITIVE_INFINITY) {
        if (lastCursor <= cursor) return;
        isHinted = true;
        wake();
      },
      finish() {
        isFinishing = true;
        wake();
      },
      acknowledged(cursor) {
        if (cursor > acked) from.onAcknowledged?.(cursor);
        acked = Math.max(acked, cursor);
      },
    };
    const leave = enter(client, channel, reader);

    function close(): void {
      isClosed = true;
      reservation?.release();
      leave();
      wake();
    }

    /** Reads what the budget grants. A number: the results were dropped, because they need this many bytes. */
    async function tryRead(limit: number, maxBytes: number): Promise<readonly StoredResult[] | number> {
      isHinted = false;
      const request = { client, channel, afterCursor: cursor, limit: Math.min(limit, maxBatch), maxBytes };
      const { results, lastCursor, ackedCursor } = await store.results(request);
      reader.acknowledged(ackedCursor);
      const bytes = sum(results.map(heldBytes));
      if (reservation?.resize(bytes) === false) return bytes;
      single = results.length === 1 ? bytes : 0;
      const hasSkipped = (results[0]?.cursor ?? lastCursor + 1) > cursor + 1;
      cursor = results.at(-1)?.cursor ?? lastCursor; // no results although the cursor is lower: all are acknowledged
      if (hasSkipped) onSkipped?.();
      if (results.length > 0 && cursor < lastCursor) isHinted = true; // there is more, or it was pruned
      if (cursor >= lastCursor) batchBytes = Math.min(firstBatchBytes, maxBatchBytes);
      else if (results.length < request.limit && maxBytes === batchBytes)
        batchBytes = Math.min(2 * batchBytes, maxBatchBytes);
      return results;
    }

    async function read(limit: number): Promise<readonly StoredResult[]> {
      const least = Math.min(firstBatchBytes, maxBatchBytes);
      let bytes = Math.max(least, single);
      while (!isClosed) {
        reservation?.release();
        reservation = budget.reserve(client, bytes);
        await reservation.granted;
        // if the budget has no room for a large batch, a small one is read
        const maxBytes = batchBytes <= bytes || reservation.resize(batchBytes) ? batchBytes : least;
        const found = isClosed ? [] : await tryRead(limit, maxBytes);
        if (typeof found !== "number") return found;
        bytes = found;
      }
      return [];
    }

    async function follow(limit: number): Promise<readonly StoredResult[]> {
      reservation?.release();
      while (!isClosed) {
        if (isHinted || isFinishing) {
          const results = await read(limit).catch(waitOut);
          if (results.length > 0 || isFinishing) return results;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          wake = () => {};
        }
      }
      return [];
    }

    /** While the store is unavailable, a reader that waits for results retries after the next successful poll. */
    function waitOut(error: unknown): readonly StoredResult[] {
      reservation?.release();
      if (isFinishing || !isUnavailable(error)) throw error;
      return [];
    }

    try {
      const { lastCursor, ackedCursor } = await positionsOf(client, channel);
      reader.acknowledged(ackedCursor);
      if (afterCursor > lastCursor) {
        throw refusal("cursor_from_the_future", [afterCursor, channel, lastCursor]);
      }
    } catch (error) {
      close();
      throw error;
    }

    return {
      cursor: () => cursor,
      next: follow,
      passedOn: () => reservation?.release(),
      close,
    };
  }

  return {
    open,
    hint(client, channel) {
      for (const reader of clients.get(client)?.get(channel)?.readers ?? []) reader.wake();
    },
    acknowledged(client, channel, cursor) {
      for (const reader of clients.get(client)?.get(channel)?.readers ?? []) reader.acknowledged(cursor);
    },
    count: () => sum([...clients.values()].map(countOf)),
    closeAll() {
      isClosing = true;
      for (const channels of clients.values()) {
        for (const { readers } of channels.values()) for (const reader of readers) reader.finish();
      }
    },
  };
}

/** Approximate memory of a result besides its output and failure: its names, times and labels. */
const resultBytes = 512;

function heldBytes({ output, failure }: StoredResult): number {
  return resultBytes + (output?.bytes.length ?? 0) + (failure === null ? 0 : JSON.stringify(failure).length);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
