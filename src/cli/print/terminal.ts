/** Where commands write: lines, aligned tables, and colours where a person looks at them. */
import { type InspectColor, styleText } from "node:util";
import { visible } from "../../visible.ts";
import { openScreen, type Screen, type ScreenListener } from "./screen.ts";

/** Standard output and standard error of a command. Nothing that is written can steer a terminal, but for the colours of `style`. */
export type Terminal = {
  /** Writes a line to standard output. */
  print(line: string): void;
  /** Writes a line to standard error. */
  complain(line: string): void;
  /** Shows a text on standard error until the next one, when a person looks at it; nothing otherwise. "" takes it away. */
  status(text: string): void;
  /** Clears the screen when a person looks at it; nothing otherwise. */
  clear(): void;
  /** Colours a text when a person looks at it and has not set NO_COLOR. */
  style(style: Style, text: string): string;
  /** Takes the whole screen when a person sits at it; undefined otherwise. The caller closes it. */
  openScreen(listener: ScreenListener): Screen | undefined;
  /** From now on the process ends, quietly, once its output is no longer read, as in `millpond jobs | head -1`. */
  endWithReader(): void;
};

/** What a colour means. */
export type Style = keyof typeof colours;

const colours = { good: "green", bad: "red", waiting: "yellow", quiet: "gray", head: "bold" } as const satisfies Record<
  string,
  InspectColor
>;

/** What `style` puts around a text. */
const colourCodes = /(\u001b\[(?:1|22|3[1-3]|39|90)m)/;

/** A terminal on the streams of a process; `exit` ends the process. */
export function createTerminal({
  stdin,
  stdout,
  stderr,
  exit,
}: {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  exit(exitCode: number): void;
}): Terminal {
  let endsWithReader = false;
  let hasStatus = false;
  for (const stream of [stdout, stderr]) {
    stream.on("error", ({ code }: NodeJS.ErrnoException) => {
      if (endsWithReader) exit(code === "EPIPE" ? 0 : 1);
    });
  }
  return {
    print: (line) => void stdout.write(`${withColours(line)}\n`),
    complain: (line) => void stderr.write(`${visible(line)}\n`),
    status: (text) => {
      if (stderr.isTTY && (text !== "" || hasStatus)) stderr.write(`\r\u001b[K${printable(text)}`);
      hasStatus = text !== "";
    },
    clear: () => void (stdout.isTTY && stdout.write("\u001b[H\u001b[2J")),
    style: (style, text) => styleText(colours[style], text, { stream: stdout }),
    openScreen: (listener) => openScreen({ stdin, stdout, safe: withColours }, listener),
    endWithReader: () => {
      endsWithReader = true;
    },
  };
}

/** A column of a table. */
export type Column = {
  readonly title: string;
  readonly align?: "right";
  /** Least width in characters. */
  readonly width?: number;
  readonly style?: (cell: string) => Style | undefined;
};

/** Lines of a table, headings first, each column as wide as its widest cell. */
export function table(terminal: Terminal, columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const fitted = columns.map((column, at) => ({
    ...column,
    width: Math.max(column.title.length, column.width ?? 0, ...rows.map((row) => printable(row[at] ?? "").length)),
  }));
  return [heading(terminal, fitted), ...rows.map((row) => line(terminal, fitted, row))];
}

/** The titles of columns whose widths are given. */
export function heading(terminal: Terminal, columns: readonly Column[]): string {
  const titles = columns.map((column): Column => ({ ...column, style: () => "head" }));
  return line(
    terminal,
    titles,
    columns.map(({ title }) => title),
  );
}

/** One row below its heading. What came from outside cannot move the cursor; what is too wide pushes the rest aside. */
export function line(terminal: Terminal, columns: readonly Column[], row: readonly string[]): string {
  return columns
    .map(({ align, width = 0, style }, at) => {
      const cell = printable(row[at] ?? "");
      const padding = " ".repeat(Math.max(0, width - cell.length));
      const colour = cell === "" ? undefined : style?.(cell);
      const shown = colour === undefined ? cell : terminal.style(colour, cell);
      return align === "right" ? padding + shown : shown + padding;
    })
    .join("  ")
    .trimEnd();
}

/** A text on one line, without characters that could steer the terminal. */
export function printable(text: string): string {
  return visible(text.replace(/\s*[\r\n]+\s*/g, " ").replaceAll("\t", " "));
}

/** At odd places stand the colours. */
function withColours(line: string): string {
  const parts = line.split(colourCodes);
  return parts.map((part, index) => (index % 2 === 0 ? visible(part) : part)).join("");
}

/** A name and its value; undefined: the line is left out. */
export type Fact = readonly [name: string, value: string | undefined];

const nameWidth = 12;

/** The lines of facts, their values in a column. What came from outside cannot move the cursor. */
export function factLines(
  terminal: Terminal,
  facts: readonly Fact[],
  styles: { readonly [name: string]: Style | undefined } = {},
): string[] {
  return facts
    .filter((fact): fact is [string, string] => fact[1] !== undefined)
    .map(([name, value]) => {
      const style = styles[name];
      const shown = printable(value);
      return `${name.padEnd(nameWidth)}  ${style === undefined ? shown : terminal.style(style, shown)}`.trimEnd();
    });
}

export function printFacts(...[terminal, facts, styles]: Parameters<typeof factLines>): void {
  for (const line of factLines(terminal, facts, styles)) terminal.print(line);
}
