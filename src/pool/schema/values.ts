/** Passes the inputs and outputs of tasks through their schemas. */
import { type FieldViolation, messageOf } from "../../errors.ts";
import { permanent, TaskError } from "../task.ts";
import { type Checked, pathFrom, type Schema, SchemaFault, type Side } from "./schema.ts";

/** As many violations as a sentence can hold. */
const maxNamed = 3;

/** An input that its task's schema refuses: at submit a violation; where it runs, after the task's file changed, a failure. */
export class UnfitInput extends TaskError {
  /** What is wrong with it; as text, with the schema. */
  readonly verdict: readonly FieldViolation[] | string;

  constructor(verdict: UnfitInput["verdict"]) {
    const why = typeof verdict === "string" ? verdict : sentenceOf("input", verdict);
    super("bad_input", `the task no longer takes this input: ${why}`, { retryable: false });
    this.verdict = verdict;
  }
}

/** Throws `UnfitInput`, and what the schema's own code throws. */
export function inputBy(schema: Schema, input: unknown): unknown {
  let checked: Checked;
  try {
    checked = schema.check(input);
  } catch (error) {
    throw error instanceof SchemaFault ? new UnfitInput(`its \`input\` ${error.message}`) : error;
  }
  if (checked.violations) throw new UnfitInput(checked.violations);
  return checked.value;
}

/** Throws a permanent TaskError. */
export function outputBy(schema: Schema, output: unknown): unknown {
  let checked: Checked;
  try {
    checked = schema.check(output);
  } catch (error) {
    const what = error instanceof SchemaFault ? "" : "threw: ";
    throw permanent("bad_output", `the task's \`output\` ${what}${messageOf(error)}`);
  }
  if (checked.violations) throw permanent("bad_output", sentenceOf("output", checked.violations));
  return checked.value;
}

function sentenceOf(side: Side, violations: readonly FieldViolation[]): string {
  const named = violations
    .slice(0, maxNamed)
    .map(({ field, description }) => `${pathFrom(side, field)} ${description}`);
  return named.join("; ") + (violations.length > maxNamed ? `; and ${violations.length - maxNamed} more` : "");
}
