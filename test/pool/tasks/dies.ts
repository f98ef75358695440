import { defineTask } from "../../../src/pool/task.ts";

const deaths: { readonly [how: string]: () => unknown } = {
  exit: () => process.exit(3),
  uncaught: () => {
    queueMicrotask(() => {
      throw new Error("nobody catches this");
    });
    return new Promise(() => {});
  },
  rejection: () => {
    void Promise.reject(new Error("nobody handles this"));
    return new Promise(() => {});
  },
};

export default defineTask({
  name: "dies",
  pool: "tried",
  run: (how) => deaths[String(how)]?.() as never,
});
