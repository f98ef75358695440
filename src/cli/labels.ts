/** Labels as people type them: `customer=17`. */
import { type Flag, type FlagValues, listOf, UsageError } from "./command.ts";

const maxLabels = 16;
const maxValueLength = 200;

export const labelFlag: Flag = {
  usage: "--label <name=value>",
  doc: `a label of the job; may be repeated up to ${maxLabels} times`,
  repeats: true,
};

/** The labels that were given; undefined when there were none. Throws a UsageError with the form of a label. */
export function labelsOf(flags: FlagValues): { readonly [name: string]: string } | undefined {
  const given = listOf(flags, "--label").map(parseLabel);
  if (given.length === 0) return undefined;
  const labels = Object.fromEntries(given);
  const count = Object.keys(labels).length;
  if (count < given.length) throw new UsageError("--label has one name twice: use each name once");
  if (count > maxLabels) throw new UsageError(`--label is given ${count} times: at most ${maxLabels} are possible`);
  return labels;
}

function parseLabel(text: string): [string, string] {
  const [, name, value = ""] = /^([A-Za-z0-9._/-]{1,63})=(.*)$/s.exec(text) ?? [];
  if (name === undefined) {
    throw new UsageError(
      `--label is "${text}": must be name=value, the name 1 to 63 characters of [A-Za-z0-9._/-], such as customer=17`,
    );
  }
  if (value.length > maxValueLength) {
    throw new UsageError(
      `--label ${name} has a value of ${value.length} characters: at most ${maxValueLength} are possible`,
    );
  }
  return [name, value];
}

/** Labels on one line: `customer=17 region=eu`. */
export function labelsText(labels: { readonly [name: string]: string }): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}
