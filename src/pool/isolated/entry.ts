/** Entry point of a process that runs one job, in a pool with one worker. */
import { systemClock as clock, takeOrigin } from "../../clock.ts";
import type { Lease } from "../../job/job.ts";
import type { Log, LogLevel } from "../../log.ts";
import { createPool, type Pool } from "../pool.ts";
import { createRelay } from "./resource-relay.ts";
import type { FromProcess, ProcessSettings, ToProcess } from "./protocol.ts";

/** Irrelevant here: the one worker is never idle for long. */
const idleMs = 60_000;

function post(message: FromProcess): void {
  if (process.connected) process.send?.(message);
}

const at =
  (level: LogLevel): Log["info"] =>
  (fields, text) =>
    post({ kind: "log", level, fields, text });
/** Forwards log lines; the server decides which are written. */
const log: Log = {
  ...{ debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
  isWritten: () => true,
};

const relay = createRelay(post);

function start({ clockOrigin, ...settings }: ProcessSettings): Pool {
  takeOrigin(clockOrigin);
  return createPool({
    ...{ ...settings, minWorkers: 1, maxWorkers: 1, idleMs, clock, log },
    resourceHost: relay,
    maxHandBacks: 0, // no other job ever runs here, so no other can be to blame
    onReady: () => post({ kind: "ready" }),
  });
}

async function run(pool: Pool, lease: Lease): Promise<void> {
  await pool.run([lease], {
    onEnded(all) {
      for (const { lease: _, ...ended } of all) post({ kind: "ended", ended });
    },
    onEvent: (_, event) => post({ kind: "event", event }),
  });
  await pool.destroy(); // afterwards every message of its thread has arrived
  post({ kind: "over" });
}

let pool: Pool | undefined;
process.on("message", (message: ToProcess) => {
  if (message.kind === "start") pool = start(message.settings);
  else if (message.kind === "run")
    void run(pool as Pool, message.lease); // the server sends it only after `ready`
  else if (message.kind === "resource") relay.receive(message);
  else if (message.kind === "cancel") pool?.cancel(message.seq);
  else pool?.releaseAll();
});
// The server is gone, and the next one runs the job again. SIGKILL, because an exit would wait for a thread in a native call.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
// Terminals and systemd send these signals to every process of the server. The server handles them and gives the job its time.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"] as const) process.on(signal, () => {});
