/** The tables of `millpond top`: sorted, and cut to the width of a screen. */
import { shortened } from "../print/format.ts";
import { type Column, heading, line } from "../print/table.ts";
import { printable, type Terminal } from "../print/terminal.ts";
import type { Choice, Sorting } from "./keys.ts";
import { type Row, type Section, sections, type Shown } from "./sections.ts";

export type Table = {
  readonly section: Section;
  readonly sorting: Sorting;
  readonly isChosen: boolean;
  readonly found: readonly Row[];
};

/** All tables, each in its chosen order. */
export function tablesOf(shown: Shown, choice: Choice): readonly Table[] {
  return sections.map((section, at) => {
    const sorting = choice.sortings[at] ?? { column: 0, isReversed: false };
    return { section, sorting, isChosen: at === choice.section, found: inOrder(section.rowsOf(shown), sorting) };
  });
}

/** The heading, highlighted if the table is chosen, and a line for each row, of at most `columns` characters. */
export function tableLines(terminal: Terminal, table: Table, columns: number): string[] {
  const { section, sorting, isChosen, found } = table;
  const all = section.columns.map((column, at) => {
    const arrow = at === sorting.column ? (sorting.isReversed ? "↑" : "↓") : "";
    const cells = found.map((row) => printable(row.cells[at] ?? ""));
    const width = Math.max(column.title.length + 1, column.width ?? 0, ...cells.map((cell) => cell.length));
    const rank = arrow === "" ? column.rank : 0;
    return { ...column, rank, title: column.title + arrow, width, cell: (row: number) => cells[row] ?? "" };
  });
  const kept = fitting(all, columns - mark.length);
  const titles = heading(terminal, kept, isChosen ? "head" : "quiet");
  return [(isChosen ? mark : unmarked) + titles, ...found.map((_, row) => unmarked + line(terminal, kept, row))];
}

const mark = "> ";
const unmarked = "  ";

/** A column of the rows' numbers. */
type Measured = Column<number> & { readonly rank: number; readonly width: number };

/** The columns that fit into `width`: those of the highest rank are omitted first, then the first column is shortened. */
function fitting(columns: readonly Measured[], width: number): readonly Measured[] {
  const excess = columns.reduce((sum, column) => sum + column.width + 2, -2) - width;
  if (excess <= 0) return columns;
  const last = columns.reduce((highest, column) => (column.rank > highest.rank ? column : highest));
  if (last.rank > 0) {
    return fitting(
      columns.filter((column) => column !== last),
      width,
    );
  }
  return columns.map((column, at) => {
    if (at > 0) return column;
    const least = Math.max(4, column.width - excess);
    const short = (text: string) => shortened(text, least);
    return {
      ...column,
      width: least,
      title: short(column.title),
      cell: (row: number) => short(String(column.cell(row))),
    };
  });
}

/** Numbers from the largest, texts from the first; ties are ordered by the first column. */
function inOrder(rows: readonly Row[], { column, isReversed }: Sorting): readonly Row[] {
  const ordered = rows.toSorted((a, b) => compare(a.keys[column], b.keys[column]) || compare(a.keys[0], b.keys[0]));
  return isReversed ? ordered.reverse() : ordered;
}

function compare(a: string | number | undefined, b: string | number | undefined): number {
  if (typeof a === "number" && typeof b === "number") return b - a;
  return String(a) < String(b) ? -1 : Number(a !== b);
}
