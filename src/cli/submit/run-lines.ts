/** `submit --json-lines --wait`: a job for each line of a file, and how each ended. */
import { systemClock } from "../../../clients/typescript/clock.ts";
import type { JobResult } from "../../../clients/typescript/index.ts";
import { UsageError } from "../command.ts";
import { duration, rate } from "../print/format.ts";
import { readJsonLines } from "./json-lines.ts";
import { endOf, resultAsJson, styleOfState } from "../jobs/results.ts";
import { createRefusals, keyOf, type LinesOptions, notJson } from "./submit-lines.ts";
import { type Column, heading, line as row, type Terminal } from "../print/terminal.ts";

/** Between two lines of progress, for a person. */
const progressMs = 200;

const columns: readonly Column[] = [
  { title: "LINE", align: "right", width: 6 },
  { title: "STATE", width: 9, style: styleOfState },
  { title: "OUTPUT OR FAILURE" },
];

/** Prints how each line's job ended, in the order in which they end. The exit code: 1 unless all succeeded. */
export async function runLines(lines: LinesOptions): Promise<number> {
  const { client, learn, task, file, options, isJson, terminal } = lines;
  const { idempotencyKey, channel, id: _id, discardResult: _discarded, ...execution } = options;
  if (idempotencyKey !== undefined && channel === undefined) {
    throw new UsageError("--key is given and --channel is not: to wait for keyed jobs name one, the same each time");
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
    terminal.print(row(terminal, columns, [String(line), result.state, endOf(result)]));
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
  /** Makes room for a line of output. */
  hide(): void;
  /** Says how it ended. */
  end(): void;
};

type Totals = Readonly<Record<"submitted" | "SUCCEEDED" | "DEAD" | "CANCELLED" | "refused", number>>;

/** A line that a person sees while it goes on, and one that stays at the end; on standard error. */
function createProgress(terminal: Terminal, totals: () => Totals): ProgressLine {
  const startedAt = systemClock.now();
  let shownAt = startedAt;

  function text(): string {
    const { submitted, SUCCEEDED, DEAD, CANCELLED, refused } = totals();
    const ended = SUCCEEDED + DEAD + CANCELLED;
    const tookMs = Math.max(systemClock.now() - startedAt, 1);
    const counts = [`${ended} of ${submitted} jobs ended: ${SUCCEEDED} succeeded, ${DEAD} dead`];
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
      terminal.complain(text());
    },
  };
}
