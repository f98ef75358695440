import type { DatabaseSync } from "node:sqlite";
import { type Channels, createChannels } from "./channels.ts";
import { type Counters, createCounters } from "./counters.ts";
import { createDamage, type Damage } from "./damage.ts";
import { createDeadLetters, type DeadLetters } from "./dead-letters.ts";
import { createDeadlines, type Deadlines } from "./deadlines.ts";
import { createHistory, type History } from "./history.ts";
import { createPayloads, type Payloads } from "./payloads.ts";
import { createInFlight, type Running } from "./running.ts";

/** What the statements about jobs share. */
export type Tables = {
  readonly channels: Channels;
  readonly counters: Counters;
  readonly damage: Damage;
  readonly deadLetters: DeadLetters;
  readonly deadlines: Deadlines;
  readonly history: History;
  readonly payloads: Payloads;
  readonly running: Running;
};

export function createTables(db: DatabaseSync, onDamage: (sentence: string) => void): Tables {
  return {
    channels: createChannels(db),
    counters: createCounters(db),
    damage: createDamage(onDamage),
    deadLetters: createDeadLetters(db),
    deadlines: createDeadlines(db),
    history: createHistory(db),
    payloads: createPayloads(db),
    running: createInFlight(db),
  };
}
