/** A Millpond server under test: `millpond serve` as a process of its own, with the SQLite store. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

export type BenchServer = {
  readonly address: string;
  readonly pid: number;
  /** Rejects when the server ends although nobody asked it to. */
  readonly died: Promise<never>;
  /** Asks the server to end (SIGTERM) and, when it does not, ends it. Safe to repeat. */
  stop(): Promise<void>;
};

const startMs = 20_000;
const stopMs = 20_000;

/**
 * Starts a server on free ports, with its store below `folder`, the bench's own tasks, and `pictures` as the root of
 * `image.resize`. Rejects when it is not ready in time.
 */
export async function startServer(
  folder: string,
  pictures: string,
  nodeFlags: readonly string[],
  moreFlags: readonly string[] = [],
): Promise<BenchServer> {
  const launch = join(import.meta.dirname, "..", "..", "src", "launch.mjs");
  const data = join(folder, "data");
  await mkdir(data, { recursive: true });
  const flags = [
    "--data-dir",
    data,
    "--tasks-dir",
    join(import.meta.dirname, "tasks"),
    "--log-level",
    "warn",
    ...moreFlags,
  ];
  const settings = ["--tasks", JSON.stringify({ "image.resize": { root: pictures } })];
  const ports = ["--grpc-port", "0", "--http-port", "0"];
  const child = spawn(process.execPath, [...nodeFlags, launch, "serve", "--json", ...flags, ...settings, ...ports], {
    stdio: ["ignore", "pipe", 2],
  });
  let isStopping = false;
  const exited = once(child, "exit");
  const died = exited.then(([code, signal]): Promise<never> => {
    if (isStopping) return new Promise(() => {}); // as it was asked to
    throw new Error(`the server ended with ${code ?? signal}`);
  });
  died.catch(() => undefined); // whoever waits for a figure sees it
  const stop = async () => {
    isStopping = true;
    await end(child, exited);
  };
  try {
    const address = await Promise.race([addressOf(child), died]);
    return { address, pid: child.pid as number, died, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Reads the server's first line, and goes on reading so that it never has to wait. */
async function addressOf(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
  const [line] = (await once(lines, "line", { signal: AbortSignal.timeout(startMs) })) as [string];
  return (JSON.parse(line) as { readonly grpc: string }).grpc;
}

async function end(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  const timer = setTimeout(() => child.kill("SIGKILL"), stopMs);
  child.kill("SIGTERM");
  await exited;
  clearTimeout(timer);
}
