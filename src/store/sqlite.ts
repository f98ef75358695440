import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { type MillpondError, messageOf, refusal, StartError } from "../errors.ts";
import { createSignal } from "../lifecycle.ts";
import { withHints } from "./hints.ts";
import { createBatches } from "./sqlite/thread/batches.ts";
import { createCalls } from "./sqlite/thread/calls.ts";
import type { Commit, FromThread, ToThread, Upgrade } from "./sqlite/thread/protocol.ts";
import type { Store } from "./store.ts";

export type SqliteStoreOptions = {
  /** The store's file; created with its folder if missing. Beside it are `-wal`, `-shm`, `.lock` and `.commits`. */
  readonly path: string;
  /**
   * Called once, when the store has failed: after a failed write the disk cannot be trusted, so the server must stop.
   */
  readonly onFailure: (error: MillpondError) => void;
  /** Called with one sentence for each damaged job or file. The store continues. */
  readonly onDamage?: (sentence: string) => void;
  /** Called with the store's thread, for profiles. */
  readonly onThread?: ((thread: Worker) => void) | undefined;
  /** Called once, before the store is open, if it had an older version. */
  readonly onUpgrade?: (upgrade: Upgrade) => void;
  /** Called after each transaction that wrote something. */
  readonly onCommit?: (commit: Commit) => void;
};

/**
 * Opens a store in a SQLite file, in a thread of its own that locks the file until `close` or the end of the process.
 * Rejects with a StartError, without changing the file, if it is locked by another process, is damaged, is not a store,
 * or was written by a newer version.
 *
 * The ends of leases and the starts of running attempts are only in the thread's memory: when the store is opened
 * again, all leases have ended, and jobs that were running show no start until they are settled.
 */
export async function openSqliteStore({
  path,
  onThread,
  onFailure,
  onDamage,
  onUpgrade,
  onCommit,
}: SqliteStoreOptions): Promise<Store> {
  // compiled files end in .js, and so does the thread's
  const entry = new URL(`./sqlite/thread/thread${extname(import.meta.url)}`, import.meta.url);
  const thread = new Worker(entry, { workerData: { path }, name: "store" });
  onThread?.(thread);
  const post = (message: ToThread, transfer: ArrayBuffer[]) => thread.postMessage(message, transfer);
  const ready = createSignal();
  const exited = createSignal();
  const batches = createBatches((batch) => post(batch, [batch.bytes.buffer]));
  let isReady = false;
  let isClosing = false;
  let hasFailed = false;

  function fail(cause: string): void {
    if (!isReady) return ready.fail(new StartError(`cannot open the store ${path}: ${cause}`));
    if (hasFailed) return;
    hasFailed = true;
    const error = refusal("store_failed", [cause]);
    batches.fail(error);
    onFailure(error);
  }

  thread.on("message", (message: FromThread) => {
    if (message === "ready") {
      isReady = true;
      ready.fire();
    } else if ("answers" in message) {
      if (message.commit) onCommit?.(message.commit);
      batches.answered(message);
    } else if ("damaged" in message) onDamage?.(message.damaged);
    else if ("upgraded" in message) onUpgrade?.(message.upgraded);
    else if ("refused" in message) ready.fail(new StartError(message.refused));
    else fail(message.failed);
  });
  thread.on("error", (error) => fail(messageOf(error)));
  thread.on("exit", () => {
    if (!isClosing) fail("its thread ended");
    exited.fire();
  });
  try {
    await ready.promise;
  } catch (error) {
    await exited.promise; // only then the files are closed
    throw error;
  }

  async function close(): Promise<void> {
    if (!isClosing) {
      isClosing = true;
      await batches.end(refusal("store_failed", ["it was closed"]));
      post("close", []);
    }
    await exited.promise;
  }

  return { ...withHints({ ...createCalls(batches), close }), isShared: false };
}
