/** What the demo shows: a progress bar while it runs, then a table. */
import type { ServerSnapshot, TaskSnapshot } from "../../clients/typescript/index.ts";
import { duration, rate, size } from "../../src/cli/print/format.ts";
import { type Column, column, numbers, table } from "../../src/cli/print/table.ts";
import { createTerminal } from "../../src/cli/print/terminal.ts";

/** A job with what became of it, as the table shows it. */
export type Row = {
  readonly name: string;
  readonly source: { readonly width: number; readonly height: number; readonly bytes: number };
  readonly target?: { readonly width: number; readonly height: number; readonly bytes: number } | undefined;
  readonly queueWaitMs: number | undefined;
  readonly executionMs: number | undefined;
  /** Why there is no target. */
  readonly failure?: string | undefined;
};

const barLength = 30;
const terminal = createTerminal(process);

/** Prints a line; a heading is bold. */
export function say(line: string, style?: "head" | "good" | "bad"): void {
  terminal.print(style === undefined ? line : terminal.style(style, line));
}

/**
 * One line that is drawn anew as results come in; where nobody looks at a terminal, plain lines: one for each quarter
 * of the way and each new snapshot.
 */
export function createProgress(total: number) {
  const { stdout } = process;
  let done = 0;
  let failed = 0;
  let snapshot: ServerSnapshot | undefined;

  const count = () => `${String(done).padStart(String(total).length)}/${total}`;
  const failures = () => (failed === 0 ? "" : `  ${terminal.style("bad", `${failed} failed`)}`);

  function draw(): void {
    const filled = Math.round((done / total) * barLength);
    const bar = terminal.style("good", "█".repeat(filled)) + terminal.style("quiet", "░".repeat(barLength - filled));
    const stats = terminal.style("quiet", statsLine(snapshot).slice(0, Math.max(0, stdout.columns - barLength - 26)));
    stdout.write(`\r\u001b[K  ${bar} ${count()}${failures()}  ${stats}`);
  }

  return {
    result(isFailure: boolean): void {
      done += 1;
      if (isFailure) failed += 1;
      if (stdout.isTTY) draw();
      else if (done === total || done % Math.ceil(total / 4) === 0) say(`  ${count()} results${failures()}`);
    },
    stats(next: ServerSnapshot): void {
      snapshot = next;
      if (stdout.isTTY) draw();
      else say(`  ${count()} results  ${statsLine(next)}`);
    },
    /** Ends the line. */
    end(): void {
      if (stdout.isTTY) stdout.write("\n");
    },
  };
}

/** What the server does at this moment, on one line. */
export function statsLine(snapshot: ServerSnapshot | undefined): string {
  const pool = snapshot?.pools.find(({ pool }) => pool === "cpu");
  if (!pool) return "";
  const task = snapshot?.tasks.find(({ task }) => task === "image.resize");
  const speed = task?.attemptsPerSecond ? `, ${rate(task.attemptsPerSecond)}` : "";
  const median = task ? `, median ${duration(task.executionMs.p50)}` : "";
  return `cpu: ${pool.queued} waiting, ${pool.running} running on ${pool.workers} workers${speed}${median}`;
}

/** The server's own counts, after all is done. */
export function showStats({ pools, tasks }: ServerSnapshot): void {
  showTable(
    ["pool", "queued", "running", "workers", "succeeded", "dead"],
    pools.map((it) => [it.pool, it.queued, it.running, it.workers, it.succeeded, it.dead].map(String)),
  );
  const times = ({ p50, p99 }: TaskSnapshot["executionMs"]) => `${duration(p50)} / ${duration(p99)}`;
  showTable(
    ["task", "succeeded", "failed", "waited p50 / p99", "took p50 / p99"],
    tasks.map((it) => [it.task, `${it.succeeded}`, `${it.failed}`, times(it.queueWaitMs), times(it.executionMs)]),
  );
}

function showTable(titles: readonly string[], rows: readonly (readonly string[])[]): void {
  const columns = titles.map((title, at) =>
    (at === 0 ? column : numbers)(title, (row: readonly string[]) => row[at] ?? ""),
  );
  for (const line of table(terminal, columns, rows)) say(`  ${line}`);
}

/** One line for each job, in the order in which they were submitted. */
export function showRows(rows: readonly Row[]): void {
  const pixels = (it: { width: number; height: number } | undefined) => (it ? `${it.width}×${it.height}` : "-");
  const columns: readonly Column<Row>[] = [
    column("picture", ({ name }) => name),
    numbers("source", ({ source }) => pixels(source)),
    numbers("", ({ source }) => size(source.bytes)),
    numbers("target", ({ target }) => pixels(target)),
    numbers("", ({ target }) => (target ? size(target.bytes) : "-")),
    numbers("waited", ({ queueWaitMs }) => duration(queueWaitMs)),
    numbers("took", ({ executionMs }) => duration(executionMs)),
    column("result", ({ failure = "resized" }) => failure, { style: (cell) => (cell === "resized" ? "good" : "bad") }),
  ];
  for (const line of table(terminal, columns, rows)) say(`  ${line}`);
}
