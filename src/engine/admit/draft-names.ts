/** Checks the names that a client gives a job: id, channel, idempotency key and labels. */
import type { FieldViolation } from "../../errors.ts";
import type { Labels } from "../../job/job.ts";

export type GivenNames = {
  readonly id: string;
  readonly channel: string;
  readonly idempotencyKey: string;
  readonly labels: Labels;
};

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const nilUuid = "00000000-0000-0000-0000-000000000000";
const channelName = /^[A-Za-z0-9._-]{1,100}$/;
const keyForm = /^[\x21-\x7e]{1,200}$/;
const labelName = /^[A-Za-z0-9._/-]{1,63}$/;
const maxLabels = 16;
const maxLabelCharacters = 200;

/** Adds to `violations`. An empty id, channel or key means none and is valid. */
export function checkNames({ id, channel, idempotencyKey, labels }: GivenNames, violations: FieldViolation[]): void {
  if (id !== "" && !uuid.test(id)) {
    violations.push({ field: "id", description: `${quoted(id, 64)} is not a UUID in its 36-character form` });
  } else if (id === nilUuid) {
    violations.push({ field: "id", description: "is the nil UUID, which names nothing: leave it out, or make one" });
  }
  const fault = faultOfChannel(channel);
  if (fault) violations.push({ field: "channel", description: fault });
  if (idempotencyKey !== "" && !keyForm.test(idempotencyKey)) {
    const given = `${quoted(idempotencyKey, 64)} has ${idempotencyKey.length} characters`;
    violations.push({
      field: "idempotency_key",
      description: `${given} and must be 1 to 200 visible ASCII characters`,
    });
  }
  checkLabels(labels, violations);
}

/** The fault of a channel's name; undefined: it is valid. An empty name means the channel `default`. */
export function faultOfChannel(channel: string): string | undefined {
  if (channel === "" || channelName.test(channel)) return undefined;
  return `${quoted(channel, 100)} is not 1 to 100 characters of [A-Za-z0-9._-]`;
}

/** Adds invalid labels to `violations`. */
export function checkLabels(labels: Labels, violations: FieldViolation[]): void {
  const names = Object.keys(labels);
  if (names.length > maxLabels) {
    violations.push({ field: "labels", description: `are ${names.length} and may be ${maxLabels}: leave some out` });
    return; // with a violation for each of them, the refusal could be larger than a message
  }
  for (const name of names) {
    const field = `labels[${quoted(name, 64)}]`;
    if (!labelName.test(name)) {
      violations.push({ field, description: "is not named with 1 to 63 characters of [A-Za-z0-9._/-]" });
    }
    const value = labels[name] as string;
    if (!value.isWellFormed()) violations.push({ field, description: halfPair });
    const length = charactersOf(value);
    if (length > maxLabelCharacters) {
      const description = `has ${length} characters and the limit is ${maxLabelCharacters}: put it into the input`;
      violations.push({ field, description });
    }
  }
}

/** The stored text would differ, and so would the same job when it is submitted again. */
export const halfPair = "has a lone surrogate, which UTF-8 cannot represent: send whole characters";

/** Counts a character outside the basic plane as one, although it has two code units. */
function charactersOf(text: string): number {
  const { length } = text;
  return length <= maxLabelCharacters || length > 2 * maxLabelCharacters ? length : Array.from(text).length;
}

function quoted(text: string, most: number): string {
  return JSON.stringify(text.length > most ? `${text.slice(0, most)}...` : text);
}
