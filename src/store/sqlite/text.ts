/** What the tables hold as JSON. Reading never throws: damaged text makes one job unreadable, not the store. */
import type { Failure, JobOptions } from "../../job/job.ts";
import { differingOptions, type OptionField } from "../../job/options.ts";

/** What a job says of which something on the disk is not what was written. */
export function damagedFailure(what: string): Failure {
  return { reason: "damaged", message: `${what} does not match its checksum: the file is damaged`, retryable: false };
}

export function readFailure(text: string): Failure {
  return (parse(text) as Failure | undefined) ?? damagedFailure("the stored failure");
}

/** Null when it cannot be read. */
export function readOptions(text: string): JobOptions | null {
  return (parse(text) as JobOptions | undefined) ?? null;
}

/** Equal options have equal texts, in whatever order their parts were given. */
export function toOptionsText(options: JobOptions): string {
  return JSON.stringify(options, (_, value: unknown) => {
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** Which options differ; a stored text that cannot be read has none. */
export function differingTexts(known: string | null, given: string | null): OptionField[] {
  const [a, b] = [known, given].map((text) => (text === null ? null : readOptions(text)));
  return differingOptions(a ?? null, b ?? null);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the caller says what is damaged
  }
}
