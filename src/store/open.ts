import type { Worker } from "node:worker_threads";
import type { MillpondError } from "../errors.ts";
import { createMemoryStore } from "./memory.ts";
import { openSqliteStore } from "./sqlite.ts";
import type { Commit, Upgrade } from "./sqlite/thread/protocol.ts";
import type { Store } from "./store.ts";

export type StoreOptions = {
  /** Called once, when the store has failed for good: the server should stop. */
  readonly onFailure: (error: MillpondError) => void;
  /** Called with one sentence about each damage of the store's files, for an operator. */
  readonly onDamage?: (sentence: string) => void;
  /** Called with the store's thread, if it has one, for profiles. */
  readonly onThread?: (thread: Worker) => void;
  /** Called once, before this resolves, if the store had an older version. */
  readonly onUpgrade?: (upgrade: Upgrade) => void;
  /** Called after each transaction that wrote something. Never called for a store in memory. */
  readonly onCommit?: (commit: Commit) => void;
};

/**
 * Opens the configured store: `memory`, or the path of a SQLite file, which is created if it does not exist. Rejects
 * with a StartError if the file cannot be used.
 */
export async function openStore(spec: string, options: StoreOptions): Promise<Store> {
  return spec === "memory" ? createMemoryStore() : openSqliteStore({ path: spec, ...options });
}
