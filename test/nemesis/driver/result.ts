import { JobState, type Result } from "../../../src/gen/millpond/v1/job_pb.ts";
import type { FinalState } from "../history/event.ts";

/** What `nemesis.hash` returned: the hash, and which execution made it; nulls when there is no such output. */
export function outputOf({ output }: Result): { readonly sha256: string | null; readonly run: string | null } {
  const kind = output?.content.case === "json" ? output.content.value.kind : undefined;
  if (kind?.case !== "structValue") return { sha256: null, run: null };
  const { fields } = kind.value;
  const text = (name: string) => {
    const value = fields[name]?.kind;
    return value?.case === "stringValue" ? value.value : null;
  };
  return { sha256: text("sha256"), run: text("run") };
}

/** What a generated enum calls a value: `SUCCEEDED`. */
export function nameOf(names: { readonly [name: string]: number }, value: number): string {
  return Object.entries(names).find(([, number]) => number === value)?.[0] ?? `unknown ${value}`;
}

/** A state that the checker knows; anything but a final one is a fault of the server, and is kept to be seen. */
export const stateOf = (state: JobState) => nameOf(JobState, state) as FinalState;
