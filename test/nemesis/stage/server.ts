/** The server under test: `millpond serve` as a process of its own, that may be killed, stopped and started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";

export type ServerOptions = {
  /** The clone whose server is tested. */
  readonly root: string;
  readonly flags: readonly string[];
  readonly env: { readonly [name: string]: string };
  /** A command that runs the server as its only child, such as `["strace", "-f"]`, and ends as it does. */
  readonly before?: readonly string[];
  /** Flags for Node.js itself. */
  readonly nodeFlags?: readonly string[];
};

/** `code` is null when a signal ended it. */
export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly stderr: string };

export type ServerProcess = {
  readonly pid: number;
  readonly grpc: string;
  readonly http: string;
  /** From the start of the process to the line that says it serves. */
  readonly tookMs: number;
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
};

/** The server ended before it served; `ended` says how. */
export class StartFailure extends Error {
  override readonly name = "StartFailure";
  readonly ended: Ended;

  constructor(ended: Ended) {
    super(`the server did not start: ${ended.code ?? ended.signal}: ${ended.stderr.slice(0, 2_000)}`);
    this.ended = ended;
  }
}

/** A machine with other work may need it. */
const startMs = 300_000;

/** Resolves once the server says that it serves. Rejects with a StartFailure. */
export async function startServer({
  root,
  flags,
  env,
  before = [],
  nodeFlags = [],
}: ServerOptions): Promise<ServerProcess> {
  const startedAt = performance.now();
  const ports = ["--grpc-port", "0", "--http-port", "0"];
  const serve = [process.execPath, ...nodeFlags, join(root, "src", "main.ts"), "serve", "--json", ...ports, ...flags];
  const [file, ...args] = [...before, ...serve] as [string, ...string[]];
  const inherited = Object.entries(process.env).filter(([name]) => !/^(MILLPOND_|NODE_OPTIONS$)/.test(name));
  const child = spawn(file, args, {
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const stderr = text(child.stderr).catch(() => "");
  const ended = new Promise<Ended>((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, stderr: String(error) }));
    child.once("exit", (code, signal) => {
      // a child of its own may hold the pipe open
      const late = new Promise<string>((resolveLate) => void setTimeout(resolveLate, 1_000, "").unref());
      void Promise.race([stderr, late]).then((said) => resolve({ code, signal, stderr: said }));
    });
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), startMs);
  void ended.then(() => clearTimeout(timer));
  const failed = ended.then((how) => {
    throw new StartFailure(how);
  });
  failed.catch(() => undefined); // once it serves, its end is no failure to start
  const line = await Promise.race([firstLine(child), failed]);
  clearTimeout(timer);
  const { grpc, http } = JSON.parse(line) as { readonly grpc: string; readonly http: string };
  const tookMs = performance.now() - startedAt;
  const pid = before.length > 0 ? childOf(child.pid!) : child.pid!;
  const kill = (signal: NodeJS.Signals) => {
    try {
      process.kill(pid, signal);
    } catch {
      // it has ended already
    }
  };
  return { pid, grpc, http, tookMs, ended, kill };
}

function childOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  if (children.length !== 1 || children[0] === "")
    throw new Error(`process ${pid} has not one child: ${children.join()}`);
  return Number(children[0]);
}

/** Goes on reading after the first line, so that the server never waits. */
function firstLine(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout! });
  return new Promise((resolve) => void lines.on("line", resolve));
}
