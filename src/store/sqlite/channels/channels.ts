import { crc32 } from "node:zlib";
import { checksum } from "../integrity/checked-rows.ts";
import type { Sql } from "../thread/connection.ts";
import { DEAD } from "../thread/protocol.ts";

/**
 * The kind of a channel's head: its first result that the pruner has not passed, whose kind decides how long it may
 * stay. `UNKNOWN`: the pruner must examine it. DEAD jobs whose result is acknowledged are passed at once.
 */
export const UNKNOWN = 0;
export const ACKED = 1;
export const UNACKED = 2;
export const UNACKED_DEAD = 3;
/** Its job was removed or redriven, and it is not acknowledged. */
export const FORMER = 4;

export type Head = { readonly kind: number; readonly at: number; readonly cursor: number };

export type Channel = {
  readonly id: number;
  /** name.id */
  readonly client: number;
  /** Null: the client's channel of discarded results, which count as acknowledged at once. */
  readonly name: string | null;
  last: number;
  acked: number;
  /** Only acknowledged DEAD jobs are before it. Null: there are no other results. */
  head: Head | null;
};

export type Channels = ReturnType<typeof createChannels>;

/** Bound on channels in memory between transactions; beyond it, all are read again. */
const cached = 10_000;

/** The channels' positions: changed in memory, and written at the end of each transaction. */
export function createChannels(sql: Sql) {
  const byName = sql<Row>`SELECT ${columns} FROM channel WHERE client = ? AND name = ?`;
  const byNumber = sql<Row>`SELECT ${columns} FROM channel WHERE id = ?`;
  const insert = sql`INSERT INTO channel (${columns}, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`;
  const lastId = sql<[number]>`SELECT coalesce(max(id), 0) FROM channel`;
  const update = sql`
    UPDATE channel SET last = ?, acked = ?, head = ?, head_at = ?, head_cursor = ?, checksum = ? WHERE id = ?`;
  const dropRead = sql`
    DELETE FROM ended INDEXED BY former_result WHERE id IS NOT NULL AND channel = ? AND cursor <= ?`;

  /** By client, then by name. */
  const named = new Map<number, Map<string, Channel>>();
  const numbered = new Map<number, Channel>();
  const touched = new Set<Channel>();

  function keep(channel: Channel): Channel {
    const ofClient = named.get(channel.client) ?? new Map<string, Channel>();
    named.set(channel.client, ofClient.set(channel.name ?? "", channel));
    numbered.set(channel.id, channel);
    return channel;
  }

  function find(client: number, name: string): Channel | undefined {
    const known = named.get(client)?.get(name);
    if (known) return known;
    const row = byName.get(client, name);
    return row && keep(toChannel(row));
  }

  function byId(id: number): Channel | undefined {
    const known = numbered.get(id);
    if (known) return known;
    const row = byNumber.get(id);
    return row && keep(toChannel(row));
  }

  function make(client: number, name: string): Channel {
    const row: Row = [lastId.get()![0] + 1, client, name, 0, 0, null, null, null];
    insert.run(...row, checksumOf(row));
    return keep(toChannel(row));
  }

  function known(id: number, client: number): Channel | undefined {
    const channel = byId(id);
    return channel?.client === client ? channel : undefined;
  }

  const of = (client: number, name: string) => find(client, name) ?? make(client, name);

  function setHead(channel: Channel, head: Head | null): void {
    channel.head = head;
    touched.add(channel);
  }

  return {
    /** The channel; undefined: it never had a job. An empty name: the channel of discarded results. */
    find,
    /** The channel, created if it is new. */
    of,
    /** Undefined: there is no such channel, because the id is damaged. */
    byId,
    /** The channel, if it is one of this client's; a damaged id may be that of another, or of none. */
    known,
    /** The same, or otherwise the client's channel of discarded results. */
    ofJob: (id: number, client: number): Channel => known(id, client) ?? of(client, ""),
    /** Returns the position for the result of a job that becomes final. */
    append: (channel: Channel, state: number, at: number): number => {
      const cursor = ++channel.last;
      touched.add(channel);
      const isAcked = channel.name === null;
      if (isAcked) channel.acked = cursor;
      if (channel.head !== null) return cursor;
      if (!isAcked || state !== DEAD) setHead(channel, { kind: isAcked ? ACKED : unackedKind(state), at, cursor });
      return cursor;
    },
    acknowledge: (channel: Channel, cursor: number): void => {
      channel.acked = cursor;
      touched.add(channel);
      dropRead.run(channel.id, cursor);
      const { head } = channel;
      if (head === null || head.cursor > cursor || head.kind === ACKED) return;
      setHead(channel, head.kind === UNACKED ? { ...head, kind: ACKED } : { ...head, kind: UNKNOWN });
    },
    /** The result at this position was detached from its job, or removed. */
    invalidateHead: (channel: Channel, cursor: number): void => {
      if (channel.head?.cursor === cursor) setHead(channel, { ...channel.head, kind: UNKNOWN });
    },
    setHead,
    flush: (): void => {
      for (const channel of touched) {
        const row = toRow(channel);
        const [id, , , ...positions] = row;
        update.run(...positions, checksumOf(row), id);
      }
      touched.clear();
      if (numbered.size <= cached) return;
      named.clear();
      numbered.clear();
    },
  };
}

const columns = "id, client, name, last, acked, head, head_at, head_cursor";

type Row = [
  ...[id: number, client: number, name: string, last: number, acked: number],
  ...[kind: number | null, at: number | null, cursor: number | null],
];

function toChannel([id, client, name, last, acked, kind, at, cursor]: Row): Channel {
  const head = kind === null ? null : { kind, at: at!, cursor: cursor! };
  return { id, client, name: name === "" ? null : name, last, acked, head };
}

function toRow({ id, client, name, last, acked, head }: Channel): Row {
  return [id, client, name ?? "", last, acked, head && head.kind, head && head.at, head && head.cursor];
}

function checksumOf([id, client, name, ...positions]: Row): number {
  return checksum([id, client, crc32(name), ...positions]);
}

/** The id of a damaged channel, whose positions decide what is delivered and removed; undefined: there is none. */
export function findWrongChannel(sql: Sql): number | undefined {
  for (const row of sql<[...Row, checksum: number]>`SELECT ${columns}, checksum FROM channel`.iterate()) {
    if (checksumOf(row.slice(0, -1) as Row) !== row.at(-1)) return row[0];
  }
  return undefined;
}

export function unackedKind(state: number): number {
  return state === DEAD ? UNACKED_DEAD : UNACKED;
}
