/** How results are delivered: without gaps, not after their acknowledgement, and all of them in the end. */
import type { ChannelHistory } from "../history/history.ts";
import { finding, type Invariant } from "./invariant.ts";

const nameOf = ({ client, name }: ChannelHistory) => `${client}/${name}`;

/** The highest position that was acknowledged for certain before a moment. */
function ackedBefore({ acked }: ChannelHistory, at: number): number {
  let highest = 0;
  for (const each of acked) if (each.at < at) highest = Math.max(highest, each.cursor);
  return highest;
}

export const noGaps: Invariant = {
  name: "I9",
  says: "sequences are delivered without gaps, one job at each position, and nothing after its acknowledgement",
  check: ({ channels }) =>
    finding("I9", (say) => {
      let checked = 0;
      for (const channel of channels.values()) {
        const about = { channel: nameOf(channel) };
        const at = new Map<number, string>();
        for (const [name, { openedAt, after, results }] of channel.streams) {
          const acked = ackedBefore(channel, openedAt);
          for (const [index, { cursor, id }] of results.entries()) {
            checked += 1;
            const before = index === 0 ? after : results[index - 1]!.cursor;
            // at its begin a stream passes over what is acknowledged, also by calls whose answer came late or never
            const mayPass = index === 0 ? channel.asked : before;
            if (cursor <= before || cursor > Math.max(before, mayPass) + 1) {
              say(`stream ${name}: position ${cursor} follows ${before}`, about);
            }
            if (cursor <= acked) say(`stream ${name}: position ${cursor} came after ${acked} was acknowledged`, about);
            const other = at.get(cursor);
            if (other !== undefined && other !== id)
              say(`position ${cursor} is ${other} and ${id}`, { ...about, job: id });
            at.set(cursor, id);
          }
        }
      }
      return checked;
    }),
};

export const allDelivered: Invariant = {
  name: "I10",
  says: "every result is delivered in the end: positions have no holes",
  check: ({ channels }) =>
    finding("I10", (say) => {
      let checked = 0;
      for (const channel of channels.values()) {
        const seen = new Set<number>();
        for (const { results } of channel.streams.values()) for (const { cursor } of results) seen.add(cursor);
        checked += seen.size;
        let highest = 0;
        for (const cursor of seen) highest = Math.max(highest, cursor);
        if (highest === seen.size) continue;
        let hole = 1;
        while (seen.has(hole)) hole += 1;
        const text = `${highest - seen.size} of ${highest} positions never came, the first is ${hole}`;
        say(text, { channel: nameOf(channel) });
      }
      return checked;
    }),
};
