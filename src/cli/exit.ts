import { beforeExec } from "../lifecycle.ts";

/**
 * Ends the process now, whatever its threads do. `process.exit` waits for every thread, and one that is ended in the middle
 * of its boot may never end; so the process turns into another that does nothing but end. Where that is not possible
 * (Windows), it is `process.exit`. Listeners of `exit` are not called.
 */
export function exitAtOnce(code: number): never {
  for (const end of beforeExec) end();
  try {
    process.execve?.(process.execPath, [process.execPath, "--eval", `process.exit(${code})`], {});
  } catch {
    // this platform has none
  }
  process.exit(code);
}
