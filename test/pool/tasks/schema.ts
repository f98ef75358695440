import { defineTask } from "../../../src/pool/task.ts";

type Sent = { readonly day?: string; readonly count?: number };

/** A schema of few words: every thread of these tests loads this file. */
const schema = <T>(
  validate: (value: unknown) => { value: T } | { issues: { message: string; path: PropertyKey[] }[] },
) => ({
  "~standard": { version: 1 as const, vendor: "test", validate },
});

/** Returns what its schema made of the input; of 13 what the schema of its output refuses. */
export default defineTask({
  name: "schema",
  pool: "tried",
  input: schema((value = {}) => {
    const { day = "2026-01-01", count = 7 } = value as Sent;
    return typeof count === "number"
      ? { value: { day: new Date(day), count } }
      : { issues: [{ message: "must be a number", path: ["count"] }] };
  }),
  output: schema((value) => {
    const { items } = value as { readonly items: readonly number[] };
    return items[0] === 14 ? { issues: [{ message: "is unlucky", path: ["items", 0] }] } : { value };
  }),
  run: ({ day, count }) => ({ day: day.toISOString(), items: [count + 1] }),
});
