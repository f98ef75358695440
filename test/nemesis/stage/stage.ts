/** Everything one trial needs, in a folder of its own: a server that can be hurt, the way to it, and clients. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { check, type CheckOptions, type Verdict, withBreach } from "../checker.ts";
import type { DriverOptions } from "../driver/driver.ts";
import type { Event } from "../history/event.ts";
import { now, openLog, openTail, readEvents } from "../history/log.ts";
import type { Violation } from "../invariants/invariant.ts";
import { type Clients, openClients } from "./clients.ts";
import { inspectStore } from "./inspect.ts";
import { openProxy, type Proxy } from "./proxy.ts";
import { type Ended, type ServerOptions, type ServerProcess, startServer } from "./server.ts";

export type StageOptions = {
  readonly folder: string;
  /** The clone whose server is tested. */
  readonly root: string;
  /** Where the store lies. Default: a folder of the stage. */
  readonly dataDir?: string;
  /** As JSON. Default: two workers for the load. */
  readonly pools?: string;
  /** More flags for the server. */
  readonly flags?: readonly string[];
  /** More variables for the server. */
  readonly env?: { readonly [name: string]: string };
  readonly nodeFlags?: readonly string[];
};

export type Stage = {
  readonly proxy: Proxy;
  readonly dataDir: string;
  /** The server that runs, or the last one. */
  server(): ServerProcess;
  /** How long each start took until it served. */
  readonly startsMs: readonly number[];
  start(before?: readonly string[]): Promise<ServerProcess>;
  /** Ends the server with SIGKILL, and waits until it is gone. */
  kill(): Promise<Ended>;
  /** Ends the server with SIGTERM, and waits until it is gone. */
  stop(): Promise<Ended>;
  /** Resolves once they take orders. */
  clients(options: Omit<DriverOptions, "address" | "logPath">): Promise<Clients>;
  /** Writes down what is done to the server. `hurtsWorkers`: attempts may be lost by it although the process lives. */
  fault(name: string, text: string, hurtsWorkers?: boolean): void;
  /** What tasks wrote since this was asked last. */
  freshRuns(): readonly Event[];
  /** Everything that was written down so far. */
  events(): Event[];
  /** Looks into the store, when no server runs, and judges everything that was written down; `also` is a check of the fault's own. */
  judge(options: CheckOptions, also?: (events: readonly Event[]) => readonly Violation[]): Verdict;
  /** Ends whatever still runs. */
  dispose(): Promise<void>;
};

/** Few workers: threads are most of what a start costs. */
export const fewWorkers = JSON.stringify({ cpu: { workers: 2 }, io: { workers: 1 } });

export const tasksDir = fileURLToPath(new URL("../tasks", import.meta.url));

export async function openStage({ folder, root, env = {}, ...options }: StageOptions): Promise<Stage> {
  mkdirSync(folder, { recursive: true });
  const paths = {
    runs: join(folder, "runs.jsonl"),
    clients: join(folder, "clients.jsonl"),
    own: join(folder, "own.jsonl"),
  };
  const dataDir = options.dataDir ?? join(folder, "data");
  const log = openLog(paths.own);
  const tail = openTail(paths.runs);
  const proxy = await openProxy();
  const startsMs: number[] = [];
  const opened: Clients[] = [];
  let current: ServerProcess | undefined;
  let boot = 0;
  let isAlive = false;
  let isAsked = false;

  const server = (): ServerOptions => ({
    root,
    flags: [
      "--data-dir",
      dataDir,
      "--tasks-dir",
      tasksDir,
      "--log-level",
      "silent",
      "--pools",
      options.pools ?? fewWorkers,
      ...(options.flags ?? []),
    ],
    env: { NEMESIS_RUNS: paths.runs, ...env },
    nodeFlags: options.nodeFlags ?? [],
  });

  async function start(before: readonly string[] = []): Promise<ServerProcess> {
    boot += 1;
    isAsked = false;
    const mine = boot;
    const started = await startServer({ ...server(), before });
    isAlive = true;
    current = started;
    startsMs.push(started.tookMs);
    log.write({ at: now(), kind: "serving", boot, pid: started.pid, tookMs: Math.round(started.tookMs) });
    void started.ended.then(({ code, signal }) => {
      isAlive = false;
      const how = isAsked && code === 0 ? "stopped" : String(code ?? signal);
      log.write({ at: now(), kind: "ended", boot: mine, pid: started.pid, how });
    });
    proxy.leadTo(started.grpc);
    return started;
  }

  async function end(signal: NodeJS.Signals): Promise<Ended> {
    current!.kill(signal);
    return current!.ended;
  }

  function events(): Event[] {
    log.flush();
    return readEvents([paths.own, paths.clients, paths.runs]);
  }

  return {
    proxy,
    dataDir,
    server: () => current!,
    startsMs,
    start,
    kill: () => end("SIGKILL"),
    stop: () => {
      isAsked = true;
      return end("SIGTERM");
    },
    clients: async (given) => {
      const clients = openClients({ ...given, address: proxy.address, logPath: paths.clients });
      opened.push(clients);
      await clients.ready;
      return clients;
    },
    fault: (name, text, hurtsWorkers = false) => log.write({ at: now(), kind: "fault", name, text, hurtsWorkers }),
    freshRuns: () => tail(),
    events,
    judge: (rules, also = () => []) => {
      log.write(inspectStore(join(dataDir, "millpond.sqlite")));
      const all = events();
      return also(all).reduce(withBreach, check(all, rules));
    },
    dispose: async () => {
      for (const clients of opened) clients.dispose();
      if (isAlive) await end("SIGKILL");
      await proxy.close();
    },
  };
}
