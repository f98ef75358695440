/** The jobs that a request selects: by id, or by a filter. Anything unknown in a filter is refused. */
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { checkLabels } from "../engine/admit/draft-names.ts";
import { type FieldViolation, invalid } from "../errors.ts";
import type { JobFilter as WireFilter } from "../gen/millpond/v1/job_pb.ts";
import type { JobFilter } from "../store/store.ts";
import { toDeadReason } from "./convert/state.ts";
import { timestampToMs } from "./convert/time.ts";
import { toIds } from "./names.ts";

/** Bound on the names and reasons in a filter; no job has longer ones. The store compares them with every row it reads. */
const maxNameChars = 200;

/** Every job of a client. */
export const everyJob: JobFilter = {
  ...{ task: null, pool: null, channel: null, labels: {}, submittedFrom: null, submittedBefore: null },
  ...{ deadReason: null, failureReason: null },
};

export type Selection =
  | { readonly kind: "ids"; readonly ids: readonly string[] }
  | { readonly kind: "filter"; readonly filter: JobFilter; readonly dryRun: boolean };

type SelectingRequest = Message & {
  readonly jobIds: readonly string[];
  readonly filter?: WireFilter | undefined;
  readonly dryRun: boolean;
};

/** Reads the `job_ids` or the `filter` of a request; exactly one of them must be set. */
export function toSelection(schema: DescMessage, request: SelectingRequest): Selection {
  const { jobIds, filter, dryRun } = request;
  refuseUnknown(schema, request);
  if (filter) {
    if (jobIds.length > 0)
      throw invalid([{ field: "filter", description: "is set together with job_ids: set only one of them" }]);
    return { kind: "filter", filter: toFilter(filter), dryRun };
  }
  if (jobIds.length === 0) throw invalid([{ field: "job_ids", description: "is empty: set it, or a filter" }]);
  if (dryRun) throw invalid([{ field: "dry_run", description: "needs a filter, but job_ids are set" }]);
  return { kind: "ids", ids: toIds(jobIds) };
}

/** Absent: every job. */
export function toOptionalFilter(
  schema: DescMessage,
  request: Message & { readonly filter?: WireFilter | undefined },
): JobFilter {
  refuseUnknown(schema, request);
  return request.filter ? toFilter(request.filter) : everyJob;
}

function toFilter(filter: WireFilter): JobFilter {
  const violations: FieldViolation[] = [];
  const { task, pool, channel, labels, failureReason } = filter;
  const read: JobFilter = {
    task: task || null,
    pool: pool || null,
    channel: channel || null,
    labels,
    submittedFrom: toTime(filter.submittedAfter, "filter.submitted_after", violations),
    submittedBefore: toTime(filter.submittedBefore, "filter.submitted_before", violations),
    deadReason: toDeadReason(filter.deadReason, "filter.dead_reason"),
    failureReason: failureReason || null,
  };
  for (const [field, name] of Object.entries({ task, pool, channel, failure_reason: failureReason })) {
    if (name.length <= maxNameChars) continue;
    const description = `has ${name.length} characters, and the limit is ${maxNameChars}`;
    violations.push({ field: `filter.${field}`, description });
  }
  const faults: FieldViolation[] = [];
  checkLabels(labels, faults);
  for (const { field, description } of faults) violations.push({ field: `filter.${field}`, description });
  const isEmpty =
    Object.keys(labels).length === 0 &&
    Object.entries(read).every(([name, value]) => name === "labels" || value === null);
  if (isEmpty && !filter.all) {
    violations.push({ field: "filter", description: "is empty: set one of its fields, or `all` for every job" });
  }
  if (violations.length > 0) throw invalid(violations);
  return read;
}

function toTime(time: Timestamp | undefined, field: string, violations: FieldViolation[]): number | null {
  if (!time) return null;
  const at = timestampToMs(time);
  if (Number.isNaN(at)) violations.push({ field, description: "is not a time of the years 1 to 9999" });
  return at;
}

/** Refuses filters that only DEAD jobs can match, for calls that do not apply to DEAD jobs. */
export function refuseDeadOnly({ deadReason, failureReason }: JobFilter): void {
  const violations: FieldViolation[] = [];
  const description = "only DEAD jobs have one, and they cannot be cancelled";
  if (deadReason !== null) violations.push({ field: "filter.dead_reason", description });
  if (failureReason !== null) violations.push({ field: "filter.failure_reason", description });
  if (violations.length > 0) throw invalid(violations);
}

/**
 * A field that this server does not know may narrow the selection: ignoring it would affect more jobs than requested.
 * JSON with such fields is refused earlier.
 */
function refuseUnknown(schema: DescMessage, request: Message): void {
  const violations: FieldViolation[] = [];
  const visit = (message: ReflectMessage, path: string) => {
    for (const no of new Set(message.getUnknown()?.map((field) => field.no))) {
      violations.push({ field: `${path}${no}`, description: `${message.desc.typeName} has no field of this number` });
    }
    for (const field of message.fields) {
      if (field.fieldKind === "message" && message.isSet(field)) visit(message.get(field), `${path}${field.name}.`);
    }
  };
  visit(reflect(schema, request), "");
  if (violations.length > 0) throw invalid(violations);
}
