import { StartError } from "../../../errors.ts";

const SQLITE_FULL = 13;

/** Whether SQLite, or a file beside the store, found no room on the disk: neither damage nor a wrong path, and its remedy is room. */
export function isDiskFull(error: unknown): boolean {
  const { errcode, code } = error as { readonly errcode?: number; readonly code?: string };
  return errcode === SQLITE_FULL || code === "ENOSPC" || code === "EDQUOT";
}

/** Does something that a start needs. What it throws becomes a StartError, unless it is one or its remedy is room on the disk. */
export function orRefuse<T>(work: () => T, explain: (error: { readonly errcode?: number }) => string): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof StartError || isDiskFull(error)) throw error;
    throw new StartError(explain(error as { errcode?: number }));
  }
}
