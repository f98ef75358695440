/** As a process or as a thread: does slow work in a child process, and posts the id of that process. */
import { parentPort } from "node:worker_threads";
import { resizeInChild } from "../../src/tasks/image/child-process.ts";
import { nextChild, noise, slowPlan } from "./slow-resize.ts";

const child = nextChild();
const signal = new AbortController().signal;
const work = resizeInChild(await noise(), slowPlan, { signal, timeoutMs: 60_000 });
const pid = await child;
if (parentPort) parentPort.postMessage(pid);
else process.send?.(pid);
await work;
