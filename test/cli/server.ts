/** A server of its own for a test: `millpond serve` in a process, with its own folder and ports. */
import { EventEmitter, once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { type Ended, run, type RunOptions, start } from "./run.ts";

/** What `millpond serve --json` says first. */
export type Serving = {
  readonly event: "serving";
  readonly grpc: string;
  readonly http: string;
  readonly store: string;
};

export type TestServer = {
  readonly serving: Serving;
  readonly folder: string;
  readonly pid: number;
  /** Runs a command against this server, as this client. */
  as(client: string, args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** Sends a signal to the server; the promise is that of `ended`. */
  signal(signal: NodeJS.Signals): Promise<Ended>;
  /** Resolves with the facts of this event, such as `stopping`, once the server has said it so many times on its standard output. */
  said(event: string, times?: number): Promise<{ readonly [name: string]: unknown }>;
  /** Resolves when the process has ended; `stdout` is without the first line. */
  readonly ended: Promise<Ended>;
  /** Ends the process whatever it does, and removes its folder. */
  dispose(): Promise<void>;
};

/** Few workers, unless `args` say otherwise, and none before there are jobs: threads are half of what a server's start costs. */
const few = ["--pools", "{cpu: {workers: {min: 0, max: 1}}, io: {workers: {min: 0, max: 1}}}"];

/** Resolves once the server says that it serves. Rejects with what it wrote when it ends before. */
export async function startMillpond(args: readonly string[] = [], options: RunOptions = {}): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), "millpond-cli-"));
  const ports = ["--grpc-port", "0", "--http-port", "0"];
  const child = start(["serve", "--json", ...ports, "--data-dir", folder, ...few, ...args], options);
  const lines: string[] = [];
  const first = Promise.withResolvers<string>();
  const events = new EventEmitter();
  createInterface({ input: child.stdout }).on("line", (line) => {
    first.resolve(line);
    lines.push(line);
    events.emit("line");
  });
  const stderr = text(child.stderr);
  const exited = new Promise<number | null>((resolve) => child.on("close", resolve));
  const ended = exited.then(async (code) => ({ code, stdout: lines.slice(1).join("\n"), stderr: await stderr }));
  void ended.then(({ code, stderr }) => first.reject(new Error(`the server ended with ${code}: ${stderr}`)));

  const serving = JSON.parse(await first.promise) as Serving;
  return {
    serving,
    folder,
    pid: child.pid as number,
    as: (client, command, { env, ...rest } = {}) =>
      run(command, { ...rest, env: { MILLPOND_ADDRESS: serving.grpc, MILLPOND_CLIENT: client, ...env } }),
    signal: (signal) => {
      child.kill(signal);
      return ended;
    },
    said: async (event, times = 1) => {
      for (;;) {
        const said = lines.map((line) => JSON.parse(line)).filter((facts) => facts.event === event);
        if (said.length >= times) return said[times - 1];
        await once(events, "line");
      }
    },
    ended,
    dispose: async () => {
      child.kill("SIGKILL");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
