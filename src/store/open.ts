import type { Worker } from "node:worker_threads";
import type { MillpondError } from "../errors.ts";
import { createMemoryStore } from "./memory.ts";
import { openSqliteStore } from "./sqlite.ts";
import type { Commit, Upgrade } from "./sqlite/thread/protocol.ts";
import type { Store } from "./store.ts";

export type StoreOptions = {
  /** Called once, when the store has failed and will do nothing more: the server should stop. */
  readonly onFailure: (error: MillpondError) => void;
  /** Called with what on the disk is not what was written, in one sentence: an operator has to act on it. */
  readonly onDamage?: (sentence: string) => void;
  /** Takes the thread of a store that has one, for those who measure it. */
  readonly onThread?: (thread: Worker) => void;
  /** Called once, before this resolves, when the store was of an older version. */
  readonly onUpgrade?: (upgrade: Upgrade) => void;
  /** Called after each transaction that wrote something. Never of a store in memory. */
  readonly onCommit?: (commit: Commit) => void;
};

/**
 * Opens the store that the configuration names: `memory`, or the path of a SQLite file, which is made when it is not
 * there. Rejects with a StartError when the file cannot be used.
 */
export async function openStore(spec: string, options: StoreOptions): Promise<Store> {
  return spec === "memory" ? createMemoryStore() : openSqliteStore({ path: spec, ...options });
}
