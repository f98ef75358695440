/** Prints the outcome of an action on jobs: a line for each id, or one line about all jobs that a filter selected. */
import { type Invocation, isOn, printAnswer } from "../command.ts";
import { type Column, column, table } from "../print/table.ts";
import type { Style } from "../print/terminal.ts";

/** The response to any action on jobs. */
export type Answered = {
  readonly answers: readonly { readonly jobId: string; readonly kind: string; readonly state: string | undefined }[];
  readonly matched: number;
};

/** The texts of one action. */
export type Wording = {
  /** Text and style for each kind of answer, such as `not_dead`: "is not dead". */
  readonly kinds: { readonly [kind: string]: { readonly text: string; readonly style: Style } };
  /** What the action did to the jobs that a filter selected, such as `3 redriven`. */
  readonly done: string;
  /** What `--dry-run` prints about these jobs, such as `would be redriven`. */
  readonly would: string;
};

/**
 * Prints the answers and returns the exit code: 1 if an id was not found or its job was in the wrong state, so that
 * scripts notice.
 */
export function printAnswers(invocation: Invocation, answered: Answered, { kinds, done, would }: Wording): number {
  const { flags, terminal } = invocation;
  const { answers, matched } = answered;
  const columns: readonly Column<Answered["answers"][number]>[] = [
    column("JOB", ({ jobId }) => jobId),
    column("ANSWER", ({ kind }) => kinds[kind]?.text ?? kind, {
      style: (cell) => Object.values(kinds).find(({ text }) => text === cell)?.style,
    }),
    column("STATE", ({ state = "-" }) => state),
  ];
  const jobs = `${matched} ${matched === 1 ? "job" : "jobs"}`;
  const summary = isOn(flags, "--dry-run") ? `${jobs} ${would}; nothing was changed` : `${jobs} matched: ${done}`;
  printAnswer(invocation, answered, answers.length > 0 ? table(terminal, columns, answers) : [summary]);
  return answers.some(({ kind }) => kinds[kind]?.style === "bad") ? 1 : 0;
}
