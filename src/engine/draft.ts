/** What is wrong with one job that a client describes, before anything is known of the queue. */
import { type FieldViolation, invalid, type MillpondError, refusal } from "../errors.ts";
import type { Payload } from "../job/job.ts";
import type { LoadedTask, Tasks } from "../pool/tasks.ts";
import { type GivenInput, readInput } from "./input.ts";

/** A job as a client describes it. */
export type Draft = {
  /** Empty: one is chosen. */
  readonly id: string;
  readonly task: string;
  /** Empty: `default`. */
  readonly channel: string;
  readonly input: GivenInput;
};

/** A draft that may be stored. */
export type CheckedDraft = { readonly task: LoadedTask; readonly input: Payload | null };

export const defaultChannel = "default";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const channelName = /^[A-Za-z0-9._-]{1,100}$/;
const maxNamesShown = 20;

/** Checks the task, then the size (at most `maxInputBytes`, as sent and as stored), then the fields. */
export function createDraftCheck(tasks: Tasks, maxInputBytes: number): (draft: Draft) => CheckedDraft | MillpondError {
  const names = [...tasks.keys()];
  return (draft) => {
    const task = tasks.get(draft.task);
    if (!task) return refusal("unknown_task", [draft.task.slice(0, 100), namesOf(names)]);
    const sent = sizeOf(draft.input);
    if (sent > maxInputBytes) return refusal("input_too_large", [sent, maxInputBytes]);
    const input = readInput(task, draft.input);
    const violations = [...wrongNames(draft), ...(input.violations ?? [])];
    if (input.violations || violations.length > 0) return invalid(violations);
    const encoded = input.payload?.bytes.length ?? 0;
    if (encoded > maxInputBytes) return refusal("input_too_large", [encoded, maxInputBytes]);
    return { task, input: input.payload };
  };
}

function wrongNames({ id, channel }: Draft): FieldViolation[] {
  const violations: FieldViolation[] = [];
  if (id !== "" && !uuid.test(id)) {
    violations.push({ field: "id", description: `"${id.slice(0, 64)}" is not a UUID in its 36-character form` });
  }
  const fault = faultOfChannel(channel);
  if (fault) violations.push({ field: "channel", description: fault });
  return violations;
}

/** What is wrong with a channel's name; undefined when it is fine. Empty stands for `defaultChannel`. */
export function faultOfChannel(channel: string): string | undefined {
  if (channel === "" || channelName.test(channel)) return undefined;
  return `"${channel.slice(0, 100)}" is not 1 to 100 characters of [A-Za-z0-9._-]`;
}

/** JSON is measured once it is encoded. */
function sizeOf(input: GivenInput): number {
  return input !== null && "bytes" in input ? input.bytes.length : 0;
}

function namesOf(names: readonly string[]): string {
  const more = names.length - maxNamesShown;
  return names.slice(0, maxNamesShown).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
