/** Processes of a worker thread, for code that cannot be stopped in a thread; `own-process.ts` is for their side. */
import { type ChildProcess, fork } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Starts the file `name` that lies beside `importer`. Of the environment, which may hold secrets, the process gets only what
 * it needs to start.
 *
 * @param busy - Its event loop may stand still for long: it gets a pipe that breaks when this thread ends, see `endWithPipe`.
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
