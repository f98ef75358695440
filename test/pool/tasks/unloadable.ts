import { isMainThread } from "node:worker_threads";
import { defineTask } from "../../../src/pool/task.ts";

// like a native addon that one process loads only once
if (!isMainThread) throw new Error("only the main thread can load this");

export default defineTask({ name: "unloadable", pool: "tried", run: () => null });
