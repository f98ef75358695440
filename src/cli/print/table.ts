/** Tables of aligned columns. */
import { printable, type Style, type Terminal } from "./terminal.ts";

/** A column of a table with a line for each `Row`. */
export type Column<Row> = ColumnLook & {
  readonly title: string;
  cell(row: Row): string | number;
};

export type ColumnLook = {
  readonly align?: "right";
  /** Least width in characters. */
  readonly width?: number;
  readonly style?: (cell: string) => Style | undefined;
};

/** A column of texts. */
export function column<Row>(title: string, cell: Column<Row>["cell"], look: ColumnLook = {}): Column<Row> {
  return { title, cell, ...look };
}

/** A column of numbers, durations and the like. */
export function numbers<Row>(title: string, cell: Column<Row>["cell"], style?: ColumnLook["style"]): Column<Row> {
  return { title, cell, align: "right", ...(style && { style }) };
}

/** A style for the counts that are not 0. */
export function unlessZero(style: Style): (cell: string) => Style | undefined {
  return (cell) => (cell === "0" ? undefined : style);
}

/** Lines of a table, headings first, each column as wide as its widest cell. */
export function table<Row>(terminal: Terminal, columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const fitted = columns.map((each) => ({
    ...each,
    width: Math.max(each.title.length, each.width ?? 0, ...rows.map((row) => textOf(each, row).length)),
  }));
  return [heading(terminal, fitted), ...rows.map((row) => line(terminal, fitted, row))];
}

/** The heading of columns with fixed widths. */
export function heading(terminal: Terminal, columns: readonly Column<never>[], style: Style = "head"): string {
  const titles = columns.map((each) => ({ ...each, cell: () => each.title, style: () => style }));
  return line(terminal, titles, undefined);
}

/** One row below its heading. Text from outside cannot move the cursor; a cell that is too wide shifts the rest. */
export function line<Row>(terminal: Terminal, columns: readonly Column<Row>[], row: Row): string {
  return columns
    .map((each) => {
      const { align, width = 0, style } = each;
      const cell = textOf(each, row);
      const padding = " ".repeat(Math.max(0, width - cell.length));
      const colour = cell === "" ? undefined : style?.(cell);
      const shown = colour === undefined ? cell : terminal.style(colour, cell);
      return align === "right" ? padding + shown : shown + padding;
    })
    .join("  ")
    .trimEnd();
}

function textOf<Row>(column: Column<Row>, row: Row): string {
  return printable(String(column.cell(row)));
}
