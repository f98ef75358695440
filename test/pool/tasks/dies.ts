import { defineTask } from "../../../src/pool/task.ts";

const never = () => new Promise(() => {});

const deaths: { readonly [how: string]: () => unknown } = {
  exit: () => process.exit(3),
  uncaught: () => {
    queueMicrotask(() => {
      throw new Error("nobody catches this");
    });
    return never();
  },
  rejection: () => {
    void Promise.reject(new Error("nobody handles this"));
    return never();
  },
  /** When the attempt has just ended, and before the thread can say so. */
  afterwards: () => queueMicrotask(() => queueMicrotask(() => process.exit(3))),
  undefined: () => {
    setTimeout(() => {
      throw undefined;
    });
    return never();
  },
  oddity: () => {
    setTimeout(() => {
      throw { toString: 1, valueOf: 1 };
    });
    return never();
  },
};

export default defineTask({
  name: "dies",
  pool: "tried",
  run: (how) => deaths[String(how)]?.() as never,
});
