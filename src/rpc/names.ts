/** Checks the names in requests before they are looked up in the store. */
import { defaultChannel } from "../engine/admit/draft.ts";
import { faultOfChannel } from "../engine/admit/draft-names.ts";
import { type FieldViolation, invalid } from "../errors.ts";

/** Bound on the job ids in one request. */
const maxIds = 1_000;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The channel that a request names, or `default`; refused when no channel can have that name. */
export function toChannel(name: string, field = "channel"): string {
  const fault = faultOfChannel(name);
  if (fault) throw invalid([{ field, description: fault }]);
  return name || defaultChannel;
}

/** The ids in a request, in lower case; refused when there are none or too many, or one is malformed. */
export function toIds(ids: readonly string[], field = "job_ids"): string[] {
  if (ids.length === 0 || ids.length > maxIds) {
    throw invalid([{ field, description: `has ${ids.length} ids and must have 1 to ${maxIds}` }]);
  }
  const violations: FieldViolation[] = [];
  for (const [index, id] of ids.entries()) {
    if (!uuid.test(id)) {
      const description = `"${id.slice(0, 64)}" is not a UUID in its 36-character form`;
      violations.push({ field: `${field}[${index}]`, description });
    }
  }
  if (violations.length > 0) throw invalid(violations.slice(0, maxViolations));
  return ids.map((id) => id.toLowerCase());
}

/** A refusal lists at most this many ids. */
const maxViolations = 20;
