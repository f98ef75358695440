const SQLITE_FULL = 13;

/** Whether SQLite, or a file beside the store, found no room on the disk: neither damage nor a wrong path, and its remedy is room. */
export function isDiskFull(error: unknown): boolean {
  const { errcode, code } = error as { readonly errcode?: number; readonly code?: string };
  return errcode === SQLITE_FULL || code === "ENOSPC" || code === "EDQUOT";
}
