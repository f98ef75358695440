/** As a process or as a thread: runs an endless query on the file of its argument, and posts the id of the process that does it. */
import { parentPort } from "node:worker_threads";
import { openSqlite } from "../../../src/tasks/db/sqlite/connection.ts";
import { nextChild } from "../slow-resize.ts";
import { endless, workOf } from "./work.ts";

const child = nextChild();
const signal = new AbortController().signal;
const connection = await openSqlite(process.argv[2] as string, { connectMs: 60_000, signal });
const pid = await child;
if (parentPort) parentPort.postMessage(pid);
else process.send?.(pid);
await connection.run(workOf({ sql: endless.loop, timeoutMs: 3_600_000 }), signal);
