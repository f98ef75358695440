import { StartError } from "../../../errors.ts";

const SQLITE_FULL = 13;

/** Whether the disk is full, which is neither damage nor a wrong path. */
export function isDiskFull(error: unknown): boolean {
  const { errcode, code } = error as { readonly errcode?: number; readonly code?: string };
  return errcode === SQLITE_FULL || code === "ENOSPC" || code === "EDQUOT";
}

/** Runs a step of the start. Its errors become StartErrors, unless they are, or the disk is full. */
export function orRefuse<T>(work: () => T, explain: (error: { readonly errcode?: number }) => string): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof StartError || isDiskFull(error)) throw error;
    throw new StartError(explain(error as { errcode?: number }));
  }
}
