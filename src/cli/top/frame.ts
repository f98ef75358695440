/** One frame of `millpond top`: renders a snapshot and the user's choices as the lines of a screen. */
import { duration, rate, shortened, size } from "../print/format.ts";
import type { Style, Terminal } from "../print/terminal.ts";
import { type Choice, firstChoice, keyHelp } from "./keys.ts";
import type { Shown } from "./sections.ts";
import { tableLines, tablesOf } from "./table.ts";

export type FrameInput = {
  readonly shown: Shown;
  readonly choice: Choice;
  /** Width of the screen in characters. */
  readonly columns: number;
  readonly rows: number;
  /** How long the server has not answered, in milliseconds; 0: it answers. */
  readonly silentMs: number;
};

export type Frame = {
  readonly lines: readonly string[];
  /** How many rows of the chosen section can be scrolled past. */
  readonly scrollEnd: number;
};

/** Lines around the sections: the first line, an empty one below it, and the line of keys. */
const aroundSections = 3;
/** Lines around the rows of a table: a heading, and the line below the last row. */
const aroundRows = 2;
/** With fewer rows for each table, tables that are not chosen are omitted. */
const leastRowsOfEach = 2;

/** At most `rows` lines of at most `columns` characters, the last of them about keys. */
export function frame(terminal: Terminal, input: FrameInput): Frame {
  const { shown, choice, columns, rows } = input;
  const quiet = (text: string) => terminal.style("quiet", shortened(text, columns));
  const footer = quiet(choice.showsHelp ? "press any key to return" : footerText);
  if (choice.showsHelp) {
    const help = keyHelp.map(([keys, effect]) => shortened(`  ${keys.padEnd(16)}${effect}`, columns));
    return { lines: filled([head(terminal, input), "", ...help], rows, footer), scrollEnd: 0 };
  }

  const tables = tablesOf(shown, choice);
  const roomForAll = rows - aroundSections - aroundRows * tables.length;
  const fitsAll = roomForAll >= leastRowsOfEach * tables.length;
  const visible = fitsAll ? tables : tables.filter(({ isChosen }) => isChosen);
  const room = fitsAll ? roomForAll : Math.max(1, rows - aroundSections - aroundRows);
  const counts = shares(
    visible.map(({ found }) => found.length),
    visible.findIndex(({ isChosen }) => isChosen),
    room,
  );

  let scrollEnd = 0;
  const body = visible.flatMap((table, at) => {
    const { isChosen, found } = table;
    const count = counts[at] ?? 0;
    if (isChosen) scrollEnd = found.length - count;
    const first = isChosen ? Math.min(choice.scrolled, scrollEnd) : 0;
    const isWhole = count === found.length;
    return [
      ...tableLines(terminal, { ...table, found: found.slice(first, first + count) }, columns),
      isWhole ? "" : quiet(`  ${first + 1} to ${first + count} of ${found.length}`),
    ];
  });
  return { lines: filled([head(terminal, input), "", ...body], rows, footer), scrollEnd };
}

/** All rows of all tables, for a pipe. */
export function plainLines(terminal: Terminal, shown: Shown): readonly string[] {
  const input = { shown, choice: firstChoice, columns: Infinity, rows: Infinity, silentMs: 0 };
  return [
    head(terminal, input),
    "",
    ...tablesOf(shown, firstChoice).flatMap((table) => [
      ...tableLines(terminal, { ...table, isChosen: false }, Infinity),
      "",
    ]),
  ];
}

const footerText = "q quit   p pause   tab next table   left/right sort by   r reverse   up/down scroll   ? help";

/** The first line. Problems and pauses come first, so that a narrow screen shows them. */
function head(terminal: Terminal, { shown, choice, silentMs, columns }: FrameInput): string {
  const { uptimeMs, store, pools, tasks } = shown.server;
  const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
  const notes: [Style, string][] = [];
  if (silentMs > 0) notes.push(["bad", `no answer for ${duration(silentMs)}: reconnecting`]);
  if (choice.isPaused) notes.push(["waiting", "paused"]);
  const facts = [
    `up ${duration(uptimeMs)}`,
    `${sum(pools.map(({ queued }) => queued))} queued`,
    `${sum(pools.map(({ running }) => running))} running`,
    rate(sum(tasks.map(({ attemptsPerSecond }) => attemptsPerSecond))),
    store.sizeBytes === 0 ? "store in memory" : `store ${size(store.sizeBytes)}`,
  ].join("; ");
  let left = columns;
  return [...notes, [undefined, facts] as const]
    .map(([style, text]) => {
      const part = left < 4 ? "" : shortened(text, left);
      left -= part.length + 2;
      return style === undefined || part === "" ? part : terminal.style(style, part);
    })
    .join("  ")
    .trimEnd();
}

/** How many of the available rows each table gets: at least an equal share, with the rest offered to the chosen one first. */
function shares(wanted: readonly number[], chosen: number, room: number): number[] {
  const counts = wanted.map((count) => Math.min(count, Math.floor(room / wanted.length)));
  let left = room - counts.reduce((sum, count) => sum + count, 0);
  for (const at of [chosen, ...wanted.keys()]) {
    const more = Math.min(left, (wanted[at] ?? 0) - (counts[at] ?? 0));
    counts[at] = (counts[at] ?? 0) + more;
    left -= more;
  }
  return counts;
}

/** Pads the lines to `rows`, with the last line at the bottom. */
function filled(lines: readonly string[], rows: number, last: string): readonly string[] {
  const above = lines.slice(0, Math.max(0, rows - 1));
  return [...above, ...Array<string>(Math.max(0, rows - 1 - above.length)).fill(""), last];
}
