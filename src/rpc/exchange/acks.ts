/** The acknowledgements of one stream, one at a time: while one is under way those behind it become a single one. */
import { acknowledge, type ResultsParts } from "../results.ts";
import type { Unacked } from "./unacked.ts";

export type Acks = {
  /** Resolves when nothing is under way; rejects when a position is ahead of the newest result. */
  ack(cursor: number): Promise<void>;
  isUnderWay(): boolean;
};

export function createAcks(
  parts: Pick<ResultsParts, "readers" | "store">,
  from: { readonly client: string; readonly channel: string },
  unacked: Unacked,
): Acks {
  let highest: number | null = null;
  let underWay: Promise<void> | null = null;

  async function send(): Promise<void> {
    try {
      while (highest !== null) {
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
  };
}
