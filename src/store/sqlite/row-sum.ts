/**
 * A sum over numbers of a row, kept in the row: a bit that turns over in one of them, or that makes it NULL or a number,
 * makes the sum wrong. For cells that change often: SQLite adds where it changes them, and no checksum of the whole row
 * has to be computed. What is written once has checksums, see checksums.ts.
 */
export type RowSum<Name extends string> = {
  /** Where the cells that are left out are 0; or what is added to a sum when these are added to the cells. */
  of(cells: { readonly [name in Name]?: number | null }): number;
  /** SQL for the sum of a row, where `changed` has SQL for the cells that a statement changes. */
  sql(changed?: { readonly [name in Name]?: string | number }): string;
  /** SQL: 1 when the numbers of a row are those that were written, or a version without sums wrote them. */
  readonly isRight: string;
};

/** Stands for NULL, which is not 0. */
const absent = -1;

function createRowSum<const Name extends string>(table: string, names: readonly Name[]): RowSum<Name> {
  const weighted = names.map((name, place) => ({ name, weight: 2 * place + 3 }));
  const sql: RowSum<Name>["sql"] = (changed = {}) =>
    weighted
      .map(({ name, weight }) => `${weight} * coalesce(${changed[name] ?? `${table}.${name}`}, ${absent})`)
      .join(" + ");
  return {
    of: (cells) => {
      let sum = 0;
      for (const { name, weight } of weighted) {
        const cell = cells[name];
        if (cell !== undefined) sum += weight * (cell ?? absent);
      }
      return sum;
    },
    sql,
    isRight: `(${table}.row_sum IS NULL OR ${table}.row_sum = ${sql()})`,
  };
}

/** What changes of a job while it waits and runs, and what its result takes over without a look at its input. */
export const jobSum = createRowSum("job", [
  ...(["state", "attempt", "fence", "crashes", "cancelling", "redrives", "expires_at"] as const),
  ...(["channel", "submitted_at"] as const),
]);

/** Where a channel's readers and its pruner are. */
export const channelSum = createRowSum("channel", [
  ...(["last", "acked", "swept", "formers", "head", "head_at", "head_cursor"] as const),
]);

/** No row has this one: what was wrong stays wrong. */
export const wrongSum = -(2 ** 52);
