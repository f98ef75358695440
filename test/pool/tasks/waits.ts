import { setTimeout as sleep } from "node:timers/promises";
import { defineTask, permanent, type TaskContext } from "../../../src/pool/task.ts";

const forever = 2 ** 30;

/** Ways to take being asked to stop. */
const ways: { readonly [how: string]: (ctx: TaskContext<undefined>) => unknown } = {
  loop(ctx) {
    for (;;) ctx.throwIfCancelled();
  },
  spin() {
    for (;;);
  },
  signal: (ctx) => new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason))),
  abortError: (ctx) => sleep(forever, undefined, { signal: ctx.signal }),
  finish: (ctx) => new Promise((resolve) => ctx.signal.addEventListener("abort", () => resolve("done"))),
  ownFailure: (ctx) =>
    new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(permanent("own", "of its own")))),
  exit: (ctx) => new Promise(() => ctx.signal.addEventListener("abort", () => process.exit(3))),
  reason: (ctx) =>
    new Promise((resolve) => ctx.signal.addEventListener("abort", () => resolve(String(ctx.signal.reason.message)))),
  deaf: () => sleep(forever),
};

export default defineTask({
  name: "waits",
  pool: "tried",
  run(how, ctx) {
    if (how === "loop" || how === "spin") ctx.log.info("waiting");
    const result = ways[String(how)]?.(ctx);
    ctx.log.info("waiting"); // only now, so that whoever hears it knows that the signal is listened to
    return result as never;
  },
});
