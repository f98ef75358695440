/** Turns the refusal of one job into the refusal of the call that brought it. */
import type { Admitted } from "../engine/admit/admission.ts";
import { invalid, type MillpondError } from "../errors.ts";

export type Accepted = Exclude<Admitted, { readonly kind: "refused" }>;

/** What was admitted under `path`, the job's place in the request; throws its refusal. */
export function acceptedOf(admitted: Admitted | undefined, path: string): Accepted {
  if (!admitted) throw new Error("there is no answer to a job");
  if (admitted.kind === "refused") throw refusedAt(path, admitted.error);
  return admitted;
}

/** Field paths of a job start at the job; those of a call start at its request. */
export function refusedAt(path: string, error: MillpondError): MillpondError {
  if (error.violations.length === 0) return error;
  return invalid(error.violations.map(({ field, description }) => ({ field: `${path}.${field}`, description })));
}
