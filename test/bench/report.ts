/** What people read: a table of figures, each with what it is compared with. */
import type { Row } from "./sections/section.ts";

const titles = ["figure", "value", "compared with", "ratio", "target", ""];
const alignments = ["left", "right", "left", "right", "left", "left"] as const;

/** The table, as lines. */
export function table(rows: readonly Row[]): string[] {
  const cells = [titles, ...rows.map(cellsOf)];
  const widths = titles.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return alignments[column] === "right" ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd(),
  );
}

function cellsOf({ figure, value, comparedWith, ratio, target, isReached }: Row): string[] {
  const verdict = isReached === undefined ? "" : isReached ? "reached" : "missed";
  return [figure, value, comparedWith, ratio === undefined ? "" : ratio.toFixed(2), target, verdict];
}
