/** What became of jobs that an action named: a line for each id, or one line about all that a filter meant. */
import { type Invocation, isOn } from "../command.ts";
import { type Style, table } from "../print/terminal.ts";

/** What an action answers, whatever the action. */
export type Answered = {
  readonly answers: readonly { readonly jobId: string; readonly kind: string; readonly state: string | undefined }[];
  readonly matched: number;
};

/** In the words of one action. */
export type Wording = {
  /** What became of each kind of job, such as `{not_dead: "is not dead"}`. */
  readonly kinds: { readonly [kind: string]: { readonly text: string; readonly style: Style } };
  /** What the action did to those that a filter meant, such as `3 redriven`. */
  readonly done: string;
  /** What `--dry-run` prints about them, such as `would be redriven`. */
  readonly would: string;
};

/**
 * Prints the answers; resolves to the exit code: 1 when a job that was named was not there or could not be acted on, so
 * that a script notices.
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
