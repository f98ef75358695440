/** Output of commands: lines, facts, and colours on a terminal. */
import { type InspectColor, styleText } from "node:util";
import { visible } from "../../visible.ts";
import { openScreen, type Screen, type ScreenListener } from "./screen.ts";

/** Standard output and standard error of a command. Text cannot control the terminal, except for the colours of `style`. */
export type Terminal = {
  /** Writes a line to standard output. */
  print(line: string): void;
  /** Writes a line to standard error. */
  printError(line: string): void;
  /** Shows a text on standard error until the next one, if it is a terminal. "" removes it. */
  status(text: string): void;
  /** Clears the screen, if standard output is a terminal. */
  clear(): void;
  /** Colours a text, if the output is a terminal and NO_COLOR is not set. */
  style(style: Style, text: string): string;
  /** Enters full-screen mode; undefined if this is not an interactive terminal. The caller closes it. */
  openScreen(listener: ScreenListener): Screen | undefined;
  /** Makes the process end silently once its output is no longer read, as in `millpond jobs | head -1`. */
  endWithReader(): void;
};

/** The meaning of a colour. */
export type Style = keyof typeof colours;

const colours = { good: "green", bad: "red", waiting: "yellow", quiet: "gray", head: "bold" } as const satisfies Record<
  string,
  InspectColor
>;

/** The escape sequences that `style` puts around a text. */
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
    printError: (line) => void stderr.write(`${visible(line)}\n`),
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

/** A text on one line, without characters that control the terminal. */
export function printable(text: string): string {
  return visible(text.replace(/\s*[\r\n]+\s*/g, " ").replaceAll("\t", " "));
}

/** The odd elements are the colour codes. */
function withColours(line: string): string {
  const parts = line.split(colourCodes);
  return parts.map((part, index) => (index % 2 === 0 ? visible(part) : part)).join("");
}

/** A name and its value; undefined: the line is omitted. */
export type Fact = readonly [name: string, value: string | undefined];

const nameWidth = 12;

/** Lines of facts with aligned values. Text from outside cannot move the cursor. */
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
