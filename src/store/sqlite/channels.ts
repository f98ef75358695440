import type { DatabaseSync } from "node:sqlite";
import { prepareQuery } from "./connection.ts";
import { DEAD } from "./protocol.ts";
import { channelSum } from "./row-sum.ts";

/**
 * What a channel's first result that was not swept is, which says how long it may stay. `LOOK`: not known, the pruner has
 * to look. DEAD jobs whose result is acknowledged are swept past at once.
 */
export const LOOK = 0;
export const ACKED = 1;
export const UNACKED = 2;
export const UNACKED_DEAD = 3;
/** Its job was removed or redriven, and it is not acknowledged. */
export const FORMER = 4;

export type Head = { readonly kind: number; readonly at: number; readonly cursor: number };

export type Channel = {
  readonly id: number;
  readonly client: string;
  /** Null: the client's place for discarded results. They count as acknowledged at once. */
  readonly name: string | null;
  last: number;
  acked: number;
  /** Up to this position only acknowledged DEAD jobs are left. */
  swept: number;
  /** Null: nothing is left to sweep. */
  head: Head | null;
  /** How many results it has whose job is not theirs any more. */
  formers: number;
};

export type Channels = {
  /** The channel, or undefined when it never had a job. Null: the place of discarded results. */
  find(client: string, name: string | null): Channel | undefined;
  /** The channel, made when it is new. */
  of(client: string, name: string | null): Channel;
  byId(id: number): Channel;
  /** Null also of a channel that only damage can have named. */
  nameOf(id: number): string | null;
  /** The channel, where it is one of this client's: damage can have named another, or none. */
  known(id: number, client: string): Channel | undefined;
  /** The same, and otherwise the client's place of unwanted results. */
  ofJob(id: number, client: string): Channel;
  /** The position for the result of a job that becomes final. */
  append(channel: Channel, state: number, at: number): number;
  acknowledge(channel: Channel, cursor: number): void;
  /** Says that the result in this place has another job behind it now, or none, or is gone. */
  disturb(channel: Channel, cursor: number): void;
  setHead(channel: Channel, head: Head | null): void;
  /** Says that the channel's positions changed, so that `flush` writes them. */
  touch(channel: Channel): void;
  flush(): void;
};

/** Channels kept in memory between transactions; beyond it all are read again. */
const cached = 10_000;

/** The channels' positions, in memory while a transaction runs and written once at its end. */
export function createChannels(db: DatabaseSync): Channels {
  const columns = "id, client, name, last, acked, swept, head, head_at, head_cursor, formers";
  const byName = prepareQuery<Row>(db, `SELECT ${columns} FROM channel WHERE client = ? AND name = ?`);
  const byNumber = prepareQuery<Row>(db, `SELECT ${columns} FROM channel WHERE id = ?`);
  const insert = db.prepare(`
    INSERT INTO channel (client, name, last, acked, swept, row_sum)
    VALUES (?, ?, 0, 0, 0, ${channelSum.of({ head: null, head_at: null, head_cursor: null })})`);
  const update = db.prepare(`
    UPDATE channel SET last = ?1, acked = ?2, swept = ?3, formers = ?4,
      row_sum = ${channelSum.sql({ last: "?1", acked: "?2", swept: "?3", formers: "?4" })}
    WHERE id = ?`);
  const updateHead = db.prepare(`
    UPDATE channel SET head = ?1, head_at = ?2, head_cursor = ?3,
      row_sum = ${channelSum.sql({ head: "?1", head_at: "?2", head_cursor: "?3" })}
    WHERE id = ?`);
  const dropRead = db.prepare("DELETE FROM former_result WHERE channel = ? AND cursor <= ?");

  const named = new Map<string, Channel>();
  const numbered = new Map<number, Channel>();
  const touched = new Set<Channel>();
  const beheaded = new Set<Channel>();

  function keep(channel: Channel): Channel {
    named.set(keyOf(channel.client, channel.name ?? ""), channel);
    numbered.set(channel.id, channel);
    return channel;
  }

  function look(client: string, name: string): Channel | undefined {
    const known = named.get(keyOf(client, name));
    if (known) return known;
    const row = byName.get(client, name);
    return row && keep(toChannel(row));
  }

  function withId(id: number): Channel | undefined {
    const known = numbered.get(id);
    if (known) return known;
    const row = byNumber.get(id);
    return row && keep(toChannel(row));
  }

  function make(client: string, name: string | null): Channel {
    const id = Number(insert.run(client, name ?? "").lastInsertRowid);
    return keep({ id, client, name, last: 0, acked: 0, swept: 0, head: null, formers: 0 });
  }

  function known(id: number, client: string): Channel | undefined {
    const channel = withId(id);
    return channel?.client === client ? channel : undefined;
  }

  const of = (client: string, name: string | null) => look(client, name ?? "") ?? make(client, name);

  function setHead(channel: Channel, head: Head | null): void {
    channel.head = head;
    beheaded.add(channel);
  }

  function flush(): void {
    for (const { last, acked, swept, formers, id } of touched) update.run(last, acked, swept, formers, id);
    touched.clear();
    for (const { head, id } of beheaded) updateHead.run(...(head ? [head.kind, head.at, head.cursor] : noHead), id);
    beheaded.clear();
    if (named.size <= cached) return;
    named.clear();
    numbered.clear();
  }

  return {
    find: (client, name) => (name === "" ? undefined : look(client, name ?? "")),
    of,
    byId: (id) => {
      const channel = withId(id);
      if (!channel) throw new Error(`a job names channel ${id}, which does not exist`);
      return channel;
    },
    nameOf: (id) => withId(id)?.name ?? null,
    known,
    ofJob: (id, client) => known(id, client) ?? of(client, null),
    append: (channel, state, at) => {
      const cursor = ++channel.last;
      touched.add(channel);
      const isAcked = channel.name === null;
      if (isAcked) channel.acked = cursor;
      if (channel.head !== null) return cursor;
      if (isAcked && state === DEAD) channel.swept = cursor;
      else setHead(channel, { kind: isAcked ? ACKED : unackedKind(state), at, cursor });
      return cursor;
    },
    acknowledge: (channel, cursor) => {
      channel.acked = cursor;
      touched.add(channel);
      if (channel.formers > 0) channel.formers -= Number(dropRead.run(channel.id, cursor).changes);
      const { head } = channel;
      if (head === null || head.cursor > cursor || head.kind === ACKED) return;
      setHead(channel, head.kind === UNACKED ? { ...head, kind: ACKED } : { ...head, kind: LOOK });
    },
    disturb: (channel, cursor) => {
      if (channel.head?.cursor === cursor) setHead(channel, { ...channel.head, kind: LOOK });
    },
    setHead,
    touch: (channel) => void touched.add(channel),
    flush,
  };
}

const noHead = [null, null, null] as const;

type Row = [
  id: number,
  client: string,
  name: string,
  last: number,
  acked: number,
  swept: number,
  kind: number | null,
  at: number,
  cursor: number,
  formers: number,
];

function toChannel([id, client, name, last, acked, swept, kind, at, cursor, formers]: Row): Channel {
  const head = kind === null ? null : { kind, at, cursor };
  return { id, client, name: name === "" ? null : name, last, acked, swept, head, formers };
}

export function unackedKind(state: number): number {
  return state === DEAD ? UNACKED_DEAD : UNACKED;
}

/** No two channels share a key, whatever characters the names hold. */
function keyOf(client: string, name: string): string {
  return `${client.length}:${client}${name}`;
}
