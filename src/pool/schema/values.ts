/** Passes the inputs and outputs of tasks through their schemas. */
import { type FieldViolation, messageOf } from "../../errors.ts";
import { permanent, TaskError } from "../task.ts";
import { type Checked, pathFrom, type Schema, SchemaFault, type Side } from "./schema.ts";

/** Bound on the violations in one message. */
const maxNamed = 3;

/**
 * An input that its task's schema refuses: a violation at submit, and a failure at run time if the task's file has
 * changed since.
 */
export class UnfitInput extends TaskError {
  /** The violations; a text: the fault of the schema. */
  readonly verdict: readonly FieldViolation[] | string;

  constructor(verdict: UnfitInput["verdict"]) {
    const why = typeof verdict === "string" ? verdict : sentenceOf("input", verdict);
    super("bad_input", `the task no longer takes this input: ${why}`, { retryable: false });
    this.verdict = verdict;
  }
}

/** Throws `UnfitInput`, and errors of the schema's own code. */
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
