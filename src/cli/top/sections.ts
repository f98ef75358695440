/** The tables of `millpond top`: pools, tasks and clients, with their cells and sort keys. */
import type {
  ClientSnapshot,
  PercentilesMs,
  PoolSnapshot,
  ServerSnapshot,
  TaskSnapshot,
} from "../../../clients/typescript/index.ts";
import { age, duration, rate } from "../print/format.ts";
import { type Column, type ColumnLook, unlessZero } from "../print/table.ts";

/** A snapshot, and the busiest clients at that time. */
export type Shown = {
  readonly server: ServerSnapshot;
  readonly clients: readonly ClientSnapshot[];
};

export type Row = {
  /** One for each column. */
  readonly cells: readonly string[];
  /** The sort keys of the cells. */
  readonly keys: readonly (string | number)[];
};

/** A column that can be sorted by its keys. Narrow screens omit the highest rank first, and never rank 0. */
type SortedColumn<T> = Column<T> & { readonly rank: number; key(row: T): string | number };

/** One of the tables. */
export type Section = {
  readonly columns: readonly SortedColumn<never>[];
  /** The column of the initial sort order. */
  readonly sortedBy: number;
  rowsOf(shown: Shown): readonly Row[];
};

const broken = " broken";
const paused = " paused";

const pools = section<PoolSnapshot & { readonly attemptsPerSecond: number }>({
  sortedBy: "QUEUED",
  columns: [
    text("POOL", 0, ({ pool }) => pool),
    number("QUEUED/MAX", 1, ({ queued }) => queued, {
      width: 13,
      style: (cell) => (cell.startsWith("0/") ? undefined : "waiting"),
      cell: ({ queued, maxQueued }) => `${queued}/${maxQueued}`,
    }),
    number("RUNNING/WORKERS", 2, ({ running }) => running, {
      style: (cell) => (cell.endsWith(broken) ? "bad" : cell.endsWith(paused) ? "waiting" : undefined),
      cell: ({ running, workers, isBroken, pause }) =>
        `${running}/${workers}${isBroken ? broken : pause ? paused : ""}`,
    }),
    number("TARGET", 8, ({ target }) => target),
    number("ELIGIBLE", 9, ({ eligible }) => eligible),
    number("OLDEST", 4, ({ oldestAgeMs }) => oldestAgeMs, { width: 8, cell: ({ oldestAgeMs }) => age(oldestAgeMs) }),
    perSecond("RATE", 3, ({ attemptsPerSecond }) => attemptsPerSecond),
    number("DEAD", 5, ({ dead }) => dead, { width: 6, style: unlessZero("bad") }),
    number("SUCCEEDED", 6, ({ succeeded }) => succeeded),
    number("CANCELLED", 7, ({ cancelled }) => cancelled),
  ],
  rowsOf: ({ server }) =>
    server.pools.map((pool) => {
      const own = server.tasks.filter((task) => task.pool === pool.pool);
      return { ...pool, attemptsPerSecond: own.reduce((sum, task) => sum + task.attemptsPerSecond, 0) };
    }),
});

const tasks = section<TaskSnapshot>({
  sortedBy: "RATE",
  columns: [
    text("TASK", 0, ({ task }) => task, 12),
    text("POOL", 7, ({ pool }) => pool),
    perSecond("RATE", 1, ({ attemptsPerSecond }) => attemptsPerSecond),
    percentile("WAIT P50", 5, ({ queueWaitMs }) => queueWaitMs.p50),
    percentile("WAIT P99", 4, ({ queueWaitMs }) => queueWaitMs.p99),
    percentile("RUN P50", 3, ({ executionMs }) => executionMs.p50),
    percentile("RUN P99", 2, ({ executionMs }) => executionMs.p99),
    number("FAILED", 6, ({ failed }) => failed, { style: unlessZero("bad") }),
    number("SUCCEEDED", 8, ({ succeeded }) => succeeded),
  ],
  rowsOf: ({ server }) => server.tasks,
});

const clients = section<ClientSnapshot>({
  sortedBy: "RATE",
  columns: [
    text("CLIENT", 0, ({ client }) => client, 12),
    number("ACCEPTED", 2, ({ accepted }) => accepted),
    number("REFUSED", 3, ({ refused }) => refused, { style: unlessZero("bad") }),
    perSecond("RATE", 1, ({ acceptedPerSecond }) => acceptedPerSecond),
    perSecond(
      "LIMIT",
      7,
      ({ ratePerSecond }) => ratePerSecond,
      (limit) => (limit === 0 ? "-" : rate(limit)),
    ),
    number("RUNNING", 4, ({ running }) => running),
    percentile("WAIT P99", 5, ({ queueWaitMs }) => queueWaitMs.p99),
    number("DEAD", 6, ({ dead }) => dead, { width: 6, style: unlessZero("bad") }),
  ],
  rowsOf: (shown) => shown.clients,
});

/** From top to bottom. */
export const sections: readonly Section[] = [pools, tasks, clients];

function text<T>(title: string, rank: number, key: (row: T) => string, width = 0): SortedColumn<T> {
  return { title, rank, key, cell: key, width };
}

function number<T>(
  title: string,
  rank: number,
  key: (row: T) => number,
  look: ColumnLook & Partial<Pick<Column<T>, "cell">> = {},
): SortedColumn<T> {
  return { title, align: "right", rank, key, cell: key, ...look };
}

function perSecond<T>(title: string, rank: number, of: (row: T) => number, shown = rate): SortedColumn<T> {
  return number(title, rank, of, { width: 9, cell: (row) => shown(of(row)) });
}

function percentile<T>(
  title: string,
  rank: number,
  of: (row: T) => PercentilesMs[keyof PercentilesMs],
): SortedColumn<T> {
  return number(title, rank, (row) => of(row) ?? -1, { width: 8, cell: (row) => duration(of(row)) });
}

/** `sortedBy`: the first letters of the column's title. */
function section<T>(made: {
  readonly sortedBy: string;
  readonly columns: readonly SortedColumn<T>[];
  rowsOf(shown: Shown): readonly T[];
}): Section {
  const { columns } = made;
  return {
    columns,
    sortedBy: columns.findIndex(({ title }) => title.startsWith(made.sortedBy)),
    rowsOf: (shown) =>
      made.rowsOf(shown).map((row) => ({
        cells: columns.map(({ cell }) => String(cell(row))),
        keys: columns.map(({ key }) => key(row)),
      })),
  };
}
