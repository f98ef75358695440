/** The jobs that a command selects: by ids, or by a filter from flags. */
import type { DeadReasonName, JobFilter, JobsOrFilter } from "../../../clients/typescript/index.ts";
import { type Flag, type FlagValues, type Invocation, isOn, flagText, UsageError } from "../command.ts";
import { labelFlag, labelsOf } from "../labels.ts";
import { momentAgoOf } from "../times.ts";

const deadReasons: readonly DeadReasonName[] = ["exhausted", "permanent", "expired", "poison"];

/** The flags of every filter. */
export const filterFlags: readonly Flag[] = [
  { usage: "--task <name>", doc: "only jobs of this task" },
  { usage: "--pool <name>", doc: "only jobs of this pool" },
  { usage: "--channel <name>", doc: "only jobs of this channel" },
  { ...labelFlag, doc: "only jobs with this label; if repeated, with all of them" },
  { usage: "--after <time>", doc: "only jobs submitted after this time, or less than this long ago, such as 2h" },
  { usage: "--before <time>", doc: "only jobs submitted before this time, or more than this long ago" },
];

/** Additional flags for filters of dead letters. */
export const deadFilterFlags: readonly Flag[] = [
  { usage: "--reason <reason>", doc: `only jobs that are dead for this reason: ${deadReasons.join(", ")}` },
  { usage: "--failure <reason>", doc: "only jobs whose last failure has this reason, such as image_too_large" },
];

/** Flags that apply an action to every job, or only count the jobs. */
export const actionFlags: readonly Flag[] = [
  { usage: "--all", doc: "every job that the other flags select" },
  { usage: "--dry-run", doc: "only count the jobs that the flags select" },
];

/** The filter of the flags; undefined when there is none. Throws a UsageError. */
export function filterOf(flags: FlagValues): JobFilter | undefined {
  const filter: JobFilter = {
    task: flagText(flags, "--task"),
    pool: flagText(flags, "--pool"),
    channel: flagText(flags, "--channel"),
    labels: labelsOf(flags),
    submittedAfter: momentAgoOf(flags, "--after"),
    submittedBefore: momentAgoOf(flags, "--before"),
    deadReason: deadReasonOf(flagText(flags, "--reason")),
    failureReason: flagText(flags, "--failure"),
  };
  return Object.values(filter).some((value) => value !== undefined) ? filter : undefined;
}

/** The ids of the command line, or its filter. Throws a UsageError when there are both or neither. */
export function targetOf({ args, flags }: Pick<Invocation, "args" | "flags">): JobsOrFilter {
  const filter = filterOf(flags);
  const all = isOn(flags, "--all");
  if (args.length === 0 && filter === undefined && !all) {
    throw new UsageError("no jobs are selected: give their ids, or flags such as --task or --label, or --all");
  }
  if (args.length > 0 && (filter !== undefined || all)) {
    throw new UsageError("both ids and a filter are given: keep one of them");
  }
  if (args.length === 0) return { ...filter, all };
  if (isOn(flags, "--dry-run")) throw new UsageError("--dry-run counts the jobs of a filter: leave the ids out");
  return args;
}

function deadReasonOf(given: string | undefined): DeadReasonName | undefined {
  const reason = deadReasons.find((each) => each === given?.toLowerCase());
  if (given !== undefined && reason === undefined) {
    throw new UsageError(`--reason is "${given}": must be one of ${deadReasons.join(", ")}`);
  }
  return reason;
}
