import type { DatabaseSync } from "node:sqlite";
import { type Channels, createChannels } from "./channels.ts";
import { type Counters, createCounters } from "./counters.ts";
import { createDamage, type Damage } from "./damage.ts";
import { createHistory, type History } from "./history.ts";
import { createPayloads, type Payloads } from "./payloads.ts";

/** What the statements about jobs share. */
export type Tables = {
  readonly channels: Channels;
  readonly counters: Counters;
  readonly damage: Damage;
  readonly history: History;
  readonly payloads: Payloads;
};

export function createTables(db: DatabaseSync, onDamage: (sentence: string) => void): Tables {
  return {
    channels: createChannels(db),
    counters: createCounters(db),
    damage: createDamage(onDamage),
    history: createHistory(db),
    payloads: createPayloads(db),
  };
}
