/** The server's handle of a process that runs one job. */
import { fork } from "node:child_process";
import { createSignal } from "../../lifecycle.ts";
import type { FromProcess, ProcessSettings, ToProcess } from "./protocol.ts";

export type OwnProcess = {
  /** Undefined: it could not be started, and `gone` resolves with the reason. */
  readonly pid: number | undefined;
  send(message: ToProcess): void;
  /** Kills the process at once. */
  kill(): void;
  /** Resolves when the process has ended, with the name of a signal, `exit code 3`, or why it could not be started. */
  readonly gone: Promise<string>;
};

const entry = new URL(import.meta.url.endsWith(".ts") ? "./entry.ts" : "./entry.js", import.meta.url);

/**
 * Starts a process. Throws, without leaving a process behind, if the start fails in a way that Node.js does not report
 * by an event.
 */
export function startOwnProcess(settings: ProcessSettings, onMessage: (message: FromProcess) => void): OwnProcess {
  const child = fork(entry, { serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const gone = createSignal<string>();
  child.on("message", onMessage);
  child.on("error", (error) => {
    // also emitted when a message cannot be sent: then "exit" follows
    if (child.pid === undefined) gone.fire(error.message);
  });
  child.once("exit", (code, signal) => gone.fire(signal ?? `exit code ${code}`));
  const send = (message: ToProcess) => void (child.connected && child.send(message));
  const kill = () => void child.kill("SIGKILL");
  try {
    send({ kind: "start", settings });
  } catch (error) {
    kill();
    throw error;
  }
  return { pid: child.pid, send, kill, gone: gone.promise };
}
