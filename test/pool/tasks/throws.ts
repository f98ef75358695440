import { defineTask, permanent, TaskError } from "../../../src/pool/task.ts";

/** What a task may throw, by name. */
const thrown: { readonly [how: string]: () => unknown } = {
  error: () => new RangeError("out of luck"),
  permanent: () => permanent("too_old", "from last year", { year: 2025 }),
  retry: () => new TaskError("busy", "come back", { retryAfterMs: 1500.4 }),
  never: () => new TaskError("busy", "come back", { retryAfterMs: Number.POSITIVE_INFINITY }),
  text: () => "just text",
  nothing: () => undefined,
  oddText: () => ({ toString: 1, valueOf: 1 }),
  trap: () =>
    Object.defineProperty(new TaskError("r", "m"), "details", {
      get() {
        throw new Error("caught you");
      },
    }),
  oddReason: () => new TaskError("Not A Reason!", "odd"),
  longMessage: () => new Error("x".repeat(10_000)),
  foreign: () => Object.assign(new Error("from a copy"), { name: "TaskError", reason: "copied", retryable: false }),
  foreignBare: () => Object.assign(new Error("m"), { name: "TaskError", reason: 5 }),
  cause: () => new TaskError("busy", "outer", { cause: new Error("inner") }),
  oddDetails: () => new TaskError("r", "m", { details: { size: 1n } as never }),
  abort: () => new DOMException("nobody told it to", "AbortError"),
};

export default defineTask({
  name: "throws",
  pool: "tried",
  async run(how) {
    throw thrown[String(how)]?.();
  },
});
