/** `submit --json-lines --wait`: submits a job for each line of a file, and prints how each ends. */
import { systemClock } from "../../../clients/typescript/clock.ts";
import type { JobResult } from "../../../clients/typescript/index.ts";
import { UsageError } from "../command.ts";
import { duration, rate } from "../print/format.ts";
import { readJsonLines } from "./json-lines.ts";
import { endOf, resultAsJson, styleOfState } from "../jobs/results.ts";
import { createRefusals, keyOf, type LinesOptions, notJson } from "./submit-lines.ts";
import { type Column, column, heading, line as row } from "../print/table.ts";
import type { Terminal } from "../print/terminal.ts";

/** Interval between two updates of the progress line. */
const progressMs = 200;

const columns: readonly Column<{ readonly line: number; readonly result: JobResult }>[] = [
  column("LINE", ({ line }) => line, { align: "right", width: 6 }),
  column("STATE", ({ result }) => result.state, { width: 9, style: styleOfState }),
  column("OUTPUT OR FAILURE", ({ result }) => endOf(result)),
];

/** Prints how each line's job ended, in the order in which they end. Returns the exit code: 1 unless all succeeded. */
export async function runLines(lines: LinesOptions): Promise<number> {
  const { client, learn, task, file, options, isJson, terminal } = lines;
  const { idempotencyKey, channel, id: _id, discardResult: _discarded, ...execution } = options;
  if (idempotencyKey !== undefined && channel === undefined) {
    throw new UsageError(
      "--key is given without --channel: to wait for jobs with keys, name a channel, the same one each time",
    );
  }
  const refused = createRefusals(lines);
  const lineOf = new Map<number, number>(); // by position among the inputs
  const tally = { submitted: 0, SUCCEEDED: 0, DEAD: 0, CANCELLED: 0 };
  const progress = createProgress(terminal, () => ({ ...tally, refused: refused.count }));
  let hasHeading = false;

  async function* inputs(): AsyncGenerator<unknown, void, undefined> {
    for await (const { line, value, problem } of readJsonLines(file)) {
      if (problem === undefined) {
        lineOf.set(tally.submitted++, line);
        yield value;
      } else {
        progress.hide();
        refused.add(line, notJson(problem));
      }
    }
  }

  function print(line: number, result: JobResult): void {
    if (isJson) return terminal.print(JSON.stringify({ line, ...resultAsJson(result) }));
    if (!hasHeading) terminal.print(heading(terminal, columns));
    hasHeading = true;
    terminal.print(row(terminal, columns, { line, result }));
  }

  const keyed = {
    idempotencyKey: (_: unknown, index: number) => keyOf(options, lineOf.get(index) as number) as string,
  };
  const jobs = { channel, job: execution, ...(idempotencyKey !== undefined && keyed) };
  try {
    for await (const { index, result, refusal } of client.map(task, inputs(), jobs)) {
      const line = lineOf.get(index) as number;
      lineOf.delete(index);
      progress.hide();
      if (refusal !== undefined) {
        tally.submitted--;
        refused.add(line, refusal);
      } else {
        tally[result.state]++;
        await learn([result.output]);
        print(line, result);
      }
      progress.show();
    }
  } finally {
    progress.end();
  }
  return tally.SUCCEEDED === tally.submitted && refused.count === 0 ? 0 : 1;
}

type ProgressLine = {
  show(): void;
  /** Removes the progress line before a line of output. */
  hide(): void;
  /** Prints the final totals. */
  end(): void;
};

type Totals = Readonly<Record<"submitted" | "SUCCEEDED" | "DEAD" | "CANCELLED" | "refused", number>>;

/** A progress line on a terminal, and a final line that stays; both on standard error. */
function createProgress(terminal: Terminal, totals: () => Totals): ProgressLine {
  const startedAt = systemClock.now();
  let shownAt = startedAt;

  function text(): string {
    const { submitted, SUCCEEDED, DEAD, CANCELLED, refused } = totals();
    const ended = SUCCEEDED + DEAD + CANCELLED;
    const tookMs = Math.max(systemClock.now() - startedAt, 1);
    const counts = [
      `${ended} of ${submitted} ${submitted === 1 ? "job" : "jobs"} ended: ${SUCCEEDED} succeeded, ${DEAD} dead`,
    ];
    if (CANCELLED > 0) counts.push(`${CANCELLED} cancelled`);
    if (refused > 0) counts.push(`${refused} ${refused === 1 ? "line" : "lines"} refused`);
    return `${counts.join(", ")}; ${duration(tookMs)}, ${rate(ended / (tookMs / 1000))}`;
  }

  return {
    show: () => {
      if (systemClock.now() - shownAt < progressMs) return;
      shownAt = systemClock.now();
      terminal.status(text());
    },
    hide: () => terminal.status(""),
    end: () => {
      terminal.status("");
      terminal.printError(text());
    },
  };
}
