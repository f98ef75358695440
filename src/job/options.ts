/** Compares what jobs ask for beyond the ordinary. */
import { isDeepStrictEqual } from "node:util";
import type { JobOptions } from "./job.ts";

/** The options by the names that the protocol has for them. */
const fields = { labels: "labels", timeoutMs: "timeout", retry: "retry" } as const;

export type OptionField = (typeof fields)[keyof JobOptions];

/** Which field of a submit makes its channel another than a job's: null is that of a result which is discarded. */
export function differingChannel(known: string | null, given: string | null): "channel" | "discard_result" {
  return known === null || given === null ? "discard_result" : "channel";
}

/** Which options two submits do not share. */
export function differingOptions(known: JobOptions | null, given: JobOptions | null): OptionField[] {
  const names = Object.keys(fields) as (keyof JobOptions)[];
  return names.filter((name) => !isDeepStrictEqual(known?.[name], given?.[name])).map((name) => fields[name]);
}
