import { defineTask, type TaskContext } from "../../../src/pool/task.ts";

const never = () => new Promise(() => {});

/** Ways for a running job to fail where nothing catches it, beyond those of `dies`. */
const strays: { readonly [how: string]: (ctx: TaskContext<undefined>) => unknown } = {
  signal(ctx) {
    ctx.signal.addEventListener("abort", () => {
      throw new Error("its listener");
    });
    ctx.log.info("listens");
    return never();
  },
  /** Begins its work only when it is waited for, as query builders do. */
  thenable: () => ({
    // oxlint-disable-next-line unicorn/no-thenable
    then() {
      setTimeout(() => {
        throw new Error("its own work");
      });
    },
  }),
  /** Calls back from native code, and its context is lost. */
  async native() {
    const { default: sharp } = await import("sharp"); // here, for every thread of every test loads this file
    void sharp(Buffer.from("no picture")).toBuffer();
    return never();
  },
};

export default defineTask({
  name: "strays",
  pool: "tried",
  run: (how, ctx) => strays[String(how)]?.(ctx) as never,
});
