/** Prints the outcome of an action on jobs: a line for each id, or one line about all jobs that a filter selected. */
import { type Invocation, isOn } from "../command.ts";
import { type Style, table } from "../print/terminal.ts";

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
export function printAnswers({ flags, terminal }: Invocation, answered: Answered, wording: Wording): number {
  const { answers, matched } = answered;
  const styleOf = (text: string) => Object.values(wording.kinds).find((kind) => kind.text === text)?.style;
  const exitCode = answers.some(({ kind }) => wording.kinds[kind]?.style === "bad") ? 1 : 0;
  if (isOn(flags, "--json")) {
    terminal.print(JSON.stringify(answered));
  } else if (answers.length > 0) {
    const columns = [{ title: "JOB" }, { title: "ANSWER", style: styleOf }, { title: "STATE" }] as const;
    const rows = answers.map(({ jobId, kind, state = "-" }) => [jobId, wording.kinds[kind]?.text ?? kind, state]);
    for (const each of table(terminal, columns, rows)) terminal.print(each);
  } else if (isOn(flags, "--dry-run")) {
    terminal.print(`${jobsText(matched)} ${wording.would}; nothing was changed`);
  } else {
    terminal.print(`${jobsText(matched)} matched: ${wording.done}`);
  }
  return exitCode;
}

function jobsText(count: number): string {
  return `${count} ${count === 1 ? "job" : "jobs"}`;
}
