/** The acknowledgements of a stream, and the bound on results that are sent but not acknowledged. */
import type { Clock } from "../../clock.ts";
import { createChange } from "../change.ts";
import { acknowledge, type ResultsParts } from "../results.ts";

export type Unacked = {
  /** How many results may be sent after those up to cursor `sent`; 0 or less: none. */
  room(sent: number): number;
  /** Everything up to this cursor is acknowledged, on this stream or elsewhere, or was skipped. Never decreases. */
  acknowledged(cursor: number): void;
  /** Resolves `roomCame`, because the bound may not apply any more. */
  wake(): void;
  /** Resolves when there may be room. */
  roomCame(): Promise<void>;
};

export function createUnacked(afterCursor: number, max: number): Unacked {
  const change = createChange();
  let acknowledged = afterCursor;
  return {
    room: (sent) => max - Math.max(0, sent - acknowledged), // results acknowledged before they were sent make no room
    acknowledged(cursor) {
      acknowledged = Math.max(acknowledged, cursor);
      change.happened();
    },
    wake: change.happened,
    roomCame: change.next,
  };
}

export type Acks = {
  /**
   * Acknowledges up to `cursor`. Resolves when no acknowledgement is pending; rejects when a cursor is ahead of the
   * newest result.
   */
  ack(cursor: number): Promise<void>;
  isUnderWay(): boolean;
  /** Writes the next acknowledgement at once: the stream waits for it, or it is the last one. */
  hurry(): void;
};

/**
 * Shortest time between two writes of a stream's acknowledgements. Each write is a commit that delays submits and
 * outcomes, and the stream only waits for it when it has no room to send.
 */
const pauseMs = 10;

/** Writes one acknowledgement at a time, and at most one per 10 ms: those that arrive in between are combined. */
export function createAcks(
  parts: Pick<ResultsParts, "readers" | "store"> & { readonly clock: Clock },
  from: { readonly client: string; readonly channel: string },
  unacked: Unacked,
): Acks {
  const { clock } = parts;
  let highest: number | null = null;
  let underWay: Promise<void> | null = null;
  let writtenMs = Number.NEGATIVE_INFINITY;
  let isHurried = false;
  let endTurn = () => {};

  function turn(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(writtenMs + pauseMs - clock.monotonicMs(), resolve);
      endTurn = () => {
        cancel();
        resolve();
      };
    });
  }

  async function send(): Promise<void> {
    try {
      while (highest !== null) {
        if (clock.monotonicMs() < writtenMs + pauseMs && !isHurried) await turn();
        isHurried = false;
        writtenMs = clock.monotonicMs();
        const cursor = highest;
        highest = null;
        unacked.acknowledged(await acknowledge(parts, { ...from, cursor }));
      }
    } finally {
      underWay = null;
    }
  }

  return {
    ack(cursor) {
      highest = Math.max(highest ?? 0, cursor);
      return (underWay ??= send());
    },
    isUnderWay: () => underWay !== null,
    hurry() {
      isHurried = true;
      endTurn();
    },
  };
}
