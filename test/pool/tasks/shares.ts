import { setTimeout as sleep } from "node:timers/promises";
import { defineTask, type TaskContext } from "../../../src/pool/task.ts";

let letGo = () => {};
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Does to its thread what the jobs beside it notice. */
const ways: { readonly [how: string]: (ctx: TaskContext<undefined>) => unknown } = {
  spin(ctx) {
    ctx.log.info("spins");
    for (;;);
  },
  async spinLater() {
    await turn();
    for (;;);
  },
  /** Computes for 100 ms when the others that wait for the same second do. */
  async burst() {
    await sleep(1_000 - (Date.now() % 1_000));
    for (const endsMs = performance.now() + 100; performance.now() < endsMs; );
  },
  wait() {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },
  /** Ends at once, and blocks the thread afterwards. */
  leaves: () =>
    void setImmediate(() => {
      for (;;);
    }),
  /** Ends just before the job after it fails. */
  ends: (ctx) =>
    new Promise<void>((resolve) => {
      letGo = resolve;
      ctx.log.info("waiting");
    }),
  fails: () =>
    new Promise(() => {
      setImmediate(() => {
        setImmediate(() => {
          throw new Error("not caught");
        });
        letGo();
      });
    }),
  async span(ctx) {
    const name = `of ${ctx.jobId}`;
    const inside = await ctx.span(name, async () => {
      await turn();
      return ctx.span(`below ${name}`, async () => {
        await turn();
        return ctx.trace.traceparent;
      });
    });
    ctx.log.info(name);
    return inside;
  },
};

export default defineTask({
  name: "shares",
  pool: "tried",
  run: (how, ctx) => ways[String(how)]?.(ctx) as never,
});
