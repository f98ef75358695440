/** Compares what jobs ask for beyond the ordinary. */
import { isDeepStrictEqual } from "node:util";
import type { JobOptions } from "./job.ts";

/** The options by the names that the protocol has for them. */
const fields = { labels: "labels", timeoutMs: "timeout", retry: "retry" } as const;

export type OptionField = (typeof fields)[keyof JobOptions];

/** Which options two submits do not share. */
export function differingOptions(known: JobOptions | null, given: JobOptions | null): OptionField[] {
  const names = Object.keys(fields) as (keyof JobOptions)[];
  return names.filter((name) => !isDeepStrictEqual(known?.[name], given?.[name])).map((name) => fields[name]);
}
