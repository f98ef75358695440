/**
 * A sum over numbers of a row, kept in the row: a bit that turns over in one of them changes it by what makes it wrong.
 * For cells that change often; SQLite adds where it changes them, and no checksum of the whole row has to be computed.
 * What is written once has checksums, see checksums.ts.
 */
export type RowSum<Name extends string> = {
  /** Where the other cells are 0 or NULL; or what is added to the sum when these are added to the cells. */
  of(cells: { readonly [name in Name]?: number | null }): number;
  /** SQL for the sum of a row, where `changed` has SQL for the cells that a statement changes. */
  sql(changed?: { readonly [name in Name]?: string | number }): string;
  /** SQL: 1 when the numbers of a row are those that were written, or a version without sums wrote them. */
  readonly isRight: string;
};

function createRowSum<const Name extends string>(table: string, names: readonly Name[]): RowSum<Name> {
  const weighted = names.map((name, place) => ({ name, weight: 2 * place + 3 }));
  const sql: RowSum<Name>["sql"] = (changed = {}) =>
    weighted.map(({ name, weight }) => `${weight} * coalesce(${changed[name] ?? `${table}.${name}`}, 0)`).join(" + ");
  return {
    of: (cells) => {
      let sum = 0;
      for (const { name, weight } of weighted) sum += weight * (cells[name] ?? 0);
      return sum;
    },
    sql,
    isRight: `(${table}.row_sum IS NULL OR ${table}.row_sum = ${sql()})`,
  };
}

/** What changes of a job while it waits and runs. */
export const jobSum = createRowSum("job", [
  ...(["state", "attempt", "fence", "crashes", "cancelling", "redrives", "expires_at"] as const),
]);

/** Where a channel's readers and its pruner are. */
export const channelSum = createRowSum("channel", [
  ...(["last", "acked", "swept", "formers", "head", "head_at", "head_cursor"] as const),
]);
