/** What the client of a stream acknowledges, and how many results it may be sent before it does. */
import type { Clock } from "../../clock.ts";
import { createChange } from "../change.ts";
import { acknowledge, type ResultsParts } from "../results.ts";

export type Unacked = {
  /** Results that may be sent, once everything up to `sent` was; 0 or less: none. */
  room(sent: number): number;
  /** Everything up to here is acknowledged, on this stream or elsewhere, or passed over. Never goes back. */
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
    room: (sent) => max - Math.max(0, sent - acknowledged), // what is acknowledged and was not sent makes no room
    acknowledged(cursor) {
      acknowledged = Math.max(acknowledged, cursor);
      change.happened();
    },
    wake: change.happened,
    roomCame: change.next,
  };
}

export type Acks = {
  /** Resolves when nothing is under way; rejects when a position is ahead of the newest result. */
  ack(cursor: number): Promise<void>;
  isUnderWay(): boolean;
  /** The next one is waited for, or there is none after it: it is written at once. */
  hurry(): void;
};

/**
 * Between two writes of a stream's acknowledgements. Each one is a commit for which submits and outcomes have to wait, and
 * nobody waits for it unless the stream may send nothing more.
 */
const pauseMs = 10;

/** One acknowledgement is written at a time, and at most one in 10 ms: those that come meanwhile become a single one. */
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
