/** How many results may be sent before the client acknowledges some of those it has. */
import { createChange } from "../change.ts";

export type Unacked = {
  /** Results that may be sent when everything up to `sent` was; 0 or less: none. */
  room(sent: number): number;
  /** Everything up to here is acknowledged, on this stream or elsewhere, or passed over. Never goes back. */
  acknowledged(cursor: number): void;
  /** Makes whoever waits for room look again. */
  look(): void;
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
    look: change.happened,
    roomCame: change.next,
  };
}
