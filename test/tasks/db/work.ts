/** Work for connections, for tests that have no configuration. */
import type { Work } from "../../../src/tasks/db/work.ts";

export function workOf(work: Partial<Work> & { readonly sql: string }): Work {
  return { sets: [[]], isReadOnly: true, maxRows: 1000, timeoutMs: 60_000, unknownOutcome: "retry", ...work };
}

const numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";

/** Queries of SQLite that never end: one that gives rows, and one that gives none. */
export const endless = { rows: `${numbers} SELECT i FROM n`, loop: `${numbers} SELECT i FROM n WHERE i < 0` };
