import type { DatabaseSync } from "node:sqlite";
import { prepareQuery } from "./connection.ts";

export type Channel = {
  readonly id: number;
  readonly client: string;
  readonly name: string;
  last: number;
  acked: number;
  /** Up to this position only acknowledged DEAD jobs are left. */
  swept: number;
};

export type Channels = {
  /** The channel, or undefined when it never had a job. */
  find(client: string, name: string): Channel | undefined;
  /** The channel, made when it is new. */
  of(client: string, name: string): Channel;
  byId(id: number): Channel;
  /** Ids of the channels that `prune` has not swept to their end, oldest first. */
  unswept(): number[];
  /** Says that the channel's positions changed, so that `flush` writes them. */
  touch(channel: Channel): void;
  flush(): void;
};

/** Channels kept in memory between transactions; beyond it all are read again. */
const cached = 10_000;

/** The channels' positions, in memory while a transaction runs and written once at its end. */
export function createChannels(db: DatabaseSync): Channels {
  const columns = "id, client, name, last, acked, swept";
  const byName = prepareQuery<Row>(db, `SELECT ${columns} FROM channel WHERE client = ? AND name = ?`);
  const byNumber = prepareQuery<Row>(db, `SELECT ${columns} FROM channel WHERE id = ?`);
  const insert = db.prepare("INSERT INTO channel (client, name, last, acked, swept) VALUES (?, ?, 0, 0, 0)");
  const update = db.prepare("UPDATE channel SET last = ?, acked = ?, swept = ? WHERE id = ?");
  const behind = prepareQuery<[number]>(db, "SELECT id FROM channel WHERE swept < last ORDER BY id");

  const named = new Map<string, Channel>();
  const numbered = new Map<number, Channel>();
  const touched = new Set<Channel>();

  function keep(channel: Channel): Channel {
    named.set(keyOf(channel.client, channel.name), channel);
    numbered.set(channel.id, channel);
    return channel;
  }

  function find(client: string, name: string): Channel | undefined {
    const known = named.get(keyOf(client, name));
    if (known) return known;
    const row = byName.get(client, name);
    return row && keep(toChannel(row));
  }

  function flush(): void {
    for (const { last, acked, swept, id } of touched) update.run(last, acked, swept, id);
    touched.clear();
    if (named.size <= cached) return;
    named.clear();
    numbered.clear();
  }

  return {
    find,
    of: (client, name) =>
      find(client, name) ??
      keep({ id: Number(insert.run(client, name).lastInsertRowid), client, name, last: 0, acked: 0, swept: 0 }),
    byId: (id) => {
      const known = numbered.get(id);
      if (known) return known;
      const row = byNumber.get(id);
      if (!row) throw new Error(`a job names channel ${id}, which does not exist`);
      return keep(toChannel(row));
    },
    unswept: () => {
      flush();
      return behind.all().map(([id]) => id);
    },
    touch: (channel) => void touched.add(channel),
    flush,
  };
}

type Row = [id: number, client: string, name: string, last: number, acked: number, swept: number];

function toChannel([id, client, name, last, acked, swept]: Row): Channel {
  return { id, client, name, last, acked, swept };
}

/** No two channels share a key, whatever characters the names hold. */
function keyOf(client: string, name: string): string {
  return `${client.length}:${client}${name}`;
}
