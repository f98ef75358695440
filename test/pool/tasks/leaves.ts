import { EventEmitter } from "node:events";
import { readFile } from "node:fs";
import { defineTask, type TaskContext } from "../../../src/pool/task.ts";

const emitter = new EventEmitter();
const boom = () => {
  throw new Error("left behind");
};
let isNextRunning = false;
/** As soon as the next job runs on this thread. */
const later = (action: () => unknown) => {
  const timer = setInterval(() => {
    if (!isNextRunning) return;
    clearInterval(timer);
    action();
  }, 1);
};

/** What a job leaves behind, by name; each fails once the next job runs. */
const leaves: { readonly [how: string]: (ctx: TaskContext<undefined>) => unknown } = {
  timer: () => later(boom),
  immediate: () => later(() => setImmediate(boom)),
  tick: () => later(() => process.nextTick(boom)),
  microtask: () => later(() => queueMicrotask(boom)),
  null: () =>
    later(() => {
      throw null;
    }),
  rejection: () => later(() => void Promise.reject(new Error("left behind"))),
  async: () => void new Promise((resolve) => later(() => resolve(1))).then(boom),
  emitter: () => later(() => emitter.emit("error", new Error("left behind"))),
  callback: () => later(() => readFile("/", boom)),
  fetch: () => later(() => fetch("nowhere:").then(boom)),
  exit: () => later(() => process.exit(0)),
  /** Does not wait for the next job, and fails later than the outcome needs to the main thread, which comes by another port than the fault. */
  idle: () => void setTimeout(boom, 200),
  spin: (ctx) =>
    void setTimeout(() => {
      ctx.log.info("spins");
      for (;;);
    }),
  /** When the thread has had nothing to do for so long that nothing shows whether its loop turns. */
  spinLater: (ctx) =>
    void setTimeout(() => {
      ctx.log.info("spins");
      for (;;);
    }, 300),
  /** The next job. */
  nothing() {
    isNextRunning = true;
    return new Promise(() => setInterval(() => undefined, 60_000));
  },
};

export default defineTask({
  name: "leaves",
  pool: "tried",
  run: (how, ctx) => leaves[String(how)]?.(ctx) as never,
});
