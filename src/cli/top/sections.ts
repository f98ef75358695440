/** The tables of `millpond top`: pools, tasks and clients, with their cells and sort keys. */
import type {
  ClientSnapshot,
  PercentilesMs,
  PoolSnapshot,
  ServerSnapshot,
  TaskSnapshot,
} from "../../../clients/typescript/index.ts";
import { duration, rate } from "../print/format.ts";
import type { Style } from "../print/terminal.ts";

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

export type SectionColumn = {
  readonly title: string;
  readonly align?: "right";
  readonly width?: number;
  readonly style?: (cell: string) => Style | undefined;
  /** Narrow screens omit the column of the highest rank first, and never one of rank 0. */
  readonly rank: number;
};

/** One of the tables. */
export type Section = {
  readonly columns: readonly SectionColumn[];
  /** The column of the initial sort order. */
  readonly sortedBy: number;
  rowsOf(shown: Shown): readonly Row[];
};

type ColumnOf<T> = SectionColumn & { key(row: T): string | number; text?(row: T): string };

const when = (style: Style) => (cell: string) => (cell === "0" ? undefined : style);
const number = { align: "right" } as const;
const broken = " broken";
const paused = " paused";

const pools = section<PoolSnapshot & { readonly attemptsPerSecond: number }>({
  sortedBy: "QUEUED",
  columns: [
    { title: "POOL", rank: 0, key: ({ pool }) => pool },
    {
      title: "QUEUED/MAX",
      ...number,
      width: 13,
      rank: 1,
      style: (cell) => (cell.startsWith("0/") ? undefined : "waiting"),
      key: ({ queued }) => queued,
      text: ({ queued, maxQueued }) => `${queued}/${maxQueued}`,
    },
    {
      title: "RUNNING/WORKERS",
      ...number,
      rank: 2,
      style: (cell) => (cell.endsWith(broken) ? "bad" : cell.endsWith(paused) ? "waiting" : undefined),
      key: ({ running }) => running,
      text: ({ running, workers, isBroken, pause }) =>
        `${running}/${workers}${isBroken ? broken : pause ? paused : ""}`,
    },
    { title: "TARGET", ...number, rank: 8, key: ({ target }) => target },
    { title: "ELIGIBLE", ...number, rank: 9, key: ({ eligible }) => eligible },
    {
      title: "OLDEST",
      ...number,
      width: 8,
      rank: 4,
      key: ({ oldestAgeMs }) => oldestAgeMs,
      text: ({ oldestAgeMs }) => (oldestAgeMs === 0 ? "-" : duration(oldestAgeMs)),
    },
    {
      title: "RATE",
      ...number,
      width: 9,
      rank: 3,
      key: ({ attemptsPerSecond }) => attemptsPerSecond,
      text: ({ attemptsPerSecond }) => rate(attemptsPerSecond),
    },
    { title: "DEAD", ...number, width: 6, rank: 5, style: when("bad"), key: ({ dead }) => dead },
    { title: "SUCCEEDED", ...number, rank: 6, key: ({ succeeded }) => succeeded },
    { title: "CANCELLED", ...number, rank: 7, key: ({ cancelled }) => cancelled },
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
    { title: "TASK", width: 12, rank: 0, key: ({ task }) => task },
    { title: "POOL", rank: 7, key: ({ pool }) => pool },
    {
      title: "RATE",
      ...number,
      width: 9,
      rank: 1,
      key: ({ attemptsPerSecond }) => attemptsPerSecond,
      text: ({ attemptsPerSecond }) => rate(attemptsPerSecond),
    },
    percentile("WAIT P50", 5, ({ queueWaitMs }) => queueWaitMs.p50),
    percentile("WAIT P99", 4, ({ queueWaitMs }) => queueWaitMs.p99),
    percentile("RUN P50", 3, ({ executionMs }) => executionMs.p50),
    percentile("RUN P99", 2, ({ executionMs }) => executionMs.p99),
    { title: "FAILED", ...number, rank: 6, style: when("bad"), key: ({ failed }) => failed },
    { title: "SUCCEEDED", ...number, rank: 8, key: ({ succeeded }) => succeeded },
  ],
  rowsOf: ({ server }) => server.tasks,
});

const clients = section<ClientSnapshot>({
  sortedBy: "RATE",
  columns: [
    { title: "CLIENT", width: 12, rank: 0, key: ({ client }) => client },
    { title: "ACCEPTED", ...number, rank: 2, key: ({ accepted }) => accepted },
    { title: "REFUSED", ...number, rank: 3, style: when("bad"), key: ({ refused }) => refused },
    {
      title: "RATE",
      ...number,
      width: 9,
      rank: 1,
      key: ({ acceptedPerSecond }) => acceptedPerSecond,
      text: ({ acceptedPerSecond }) => rate(acceptedPerSecond),
    },
    {
      title: "LIMIT",
      ...number,
      width: 9,
      rank: 7,
      key: ({ ratePerSecond }) => ratePerSecond,
      text: ({ ratePerSecond }) => (ratePerSecond === 0 ? "-" : rate(ratePerSecond)),
    },
    { title: "RUNNING", ...number, rank: 4, key: ({ running }) => running },
    percentile("WAIT P99", 5, ({ queueWaitMs }) => queueWaitMs.p99),
    { title: "DEAD", ...number, width: 6, rank: 6, style: when("bad"), key: ({ dead }) => dead },
  ],
  rowsOf: (shown) => shown.clients,
});

/** From top to bottom. */
export const sections: readonly Section[] = [pools, tasks, clients];

function percentile<T>(title: string, rank: number, of: (row: T) => PercentilesMs[keyof PercentilesMs]): ColumnOf<T> {
  return { title, ...number, width: 8, rank, key: (row) => of(row) ?? -1, text: (row) => duration(of(row)) };
}

/**
 * `sortedBy`: the first letters of the column's title.
 */
function section<T>(made: {
  readonly sortedBy: string;
  readonly columns: readonly ColumnOf<T>[];
  rowsOf(shown: Shown): readonly T[];
}): Section {
  const { columns } = made;
  return {
    columns,
    sortedBy: columns.findIndex(({ title }) => title.startsWith(made.sortedBy)),
    rowsOf: (shown) =>
      made.rowsOf(shown).map((row) => ({
        cells: columns.map(({ key, text = (of) => String(key(of)) }) => text(row)),
        keys: columns.map(({ key }) => key(row)),
      })),
  };
}
