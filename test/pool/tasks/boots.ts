import { existsSync, rmSync } from "node:fs";
import { isMainThread, parentPort } from "node:worker_threads";
import { defineTask } from "../../../src/pool/task.ts";

/** What the start of a thread does to it: `once:<file>` while the file is there, `always`, `throws`, `rejects`, `later`, `blocks`, `hangs`, `spins` or `patches`. */
const how = process.env["MILLPOND_TEST_BOOT"] ?? "";
const mark = how.startsWith("once:") ? how.slice(5) : undefined;

if (!isMainThread) {
  if (how === "hangs") await new Promise(() => setInterval(() => undefined, 60_000));
  if (how === "spins") for (;;);
  if (how === "throws") throw new Error("connect ECONNREFUSED 192.0.2.5:5432");
  if (how === "patches") {
    globalThis.setTimeout = (() => {
      throw new Error("patched");
    }) as never;
  }
  if (how === "rejects") void Promise.reject(new Error("nobody handles this"));
  if (how === "later") {
    setTimeout(() => {
      throw new Error("long after the import");
    }, 100);
  }
  if (how === "blocks" && parentPort) {
    const post = parentPort.postMessage.bind(parentPort);
    parentPort.postMessage = (note: { readonly kind?: string }) => {
      post(note);
      if (note.kind === "ready") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    };
  }
  const isMarked = mark !== undefined && existsSync(mark);
  if (isMarked) rmSync(mark);
  if (isMarked || how === "always") process.exit(5);
}

export default defineTask({ name: "boots", pool: "tried", run: () => "booted" });
