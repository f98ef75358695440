/** Child processes of a worker thread, for code that cannot be stopped in a thread; `own-process.ts` is their side. */
import { type ChildProcess, fork } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Starts the file `name` in the folder of `importer`. The process inherits only the environment variables that it needs
 * to start, because others may hold secrets.
 *
 * @param busy - Its event loop may be blocked for long: it gets a pipe that breaks when this thread ends, see
 * `endWithPipe`.
 */
export function forkBeside(importer: string, name: string, { busy = false } = {}): ChildProcess {
  const { PATH, LD_LIBRARY_PATH } = process.env;
  return fork(fileURLToPath(new URL(`./${name}${extname(importer)}`, importer)), {
    serialization: "advanced",
    env: { PATH, LD_LIBRARY_PATH },
    execArgv: [],
    stdio: ["ignore", "ignore", "ignore", "ipc", ...(busy ? (["pipe"] as const) : [])],
  });
}
