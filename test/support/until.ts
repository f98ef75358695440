import { setTimeout as pause } from "node:timers/promises";

const betweenMs = 10;
const atMostMs = 60_000;

/** Waits until `isSo`, for what another process or socket shows only when it is asked; rejects after a minute. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const timeout = AbortSignal.timeout(atMostMs);
  while (!(await isSo())) await pause(betweenMs, undefined, { signal: timeout });
}
