/** Names and values, one to a line. */
import { printable, type Style, type Terminal } from "./terminal.ts";

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
