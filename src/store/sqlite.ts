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
  /** The store's file; made, with its folder, when it is not there. More lie beside it: `-wal`, `-shm`, `.lock` and `.commits`. */
  readonly path: string;
  /** Called once, when the store has failed: after one failed write a disk's word is worth nothing, so the server must stop. */
  readonly onFailure: (error: MillpondError) => void;
  /** Called with one sentence for each job, or file beside the store, that is not what was written. The store goes on. */
  readonly onDamage?: (sentence: string) => void;
  /** Takes the store's thread, for those who measure it. */
  readonly onThread?: ((thread: Worker) => void) | undefined;
  /** Called once, before the store is open, when it was of an older version. */
  readonly onUpgrade?: (upgrade: Upgrade) => void;
  /** Called after each transaction that wrote something. */
  readonly onCommit?: (commit: Commit) => void;
};

/**
 * Opens a store in a SQLite file, in a thread of its own that holds the file for itself until `close` or the end of
 * the process. Rejects with a StartError, and leaves the file as it is, when the file is locked by another process, is
 * damaged, is not a store, or was written by a newer version.
 *
 * When leases end and when running attempts began is in the thread's memory only: opened again, all leases have ended at
 * once, and jobs that were running show no start until they are settled.
 */
export async function openSqliteStore({
  path,
  onThread,
  onFailure,
  onDamage,
  onUpgrade,
  onCommit,
}: SqliteStoreOptions): Promise<Store> {
  // Built files end in .js, and so does the thread's.
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
    await exited.promise; // only now it has let go of the files
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
