/** A Millpond server of its own for the demo: a child process with the embedded store. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

export type DemoServer = {
  /** Address of the gRPC port. */
  readonly address: string;
  /** Asks the server to end (SIGTERM). Resolves with its exit code; null when it had to be killed. */
  stop(): Promise<number | null>;
};

const startMs = 15_000;
const stopMs = 15_000;
const lastLines = 15;

/**
 * Starts `millpond serve` on free ports with this configuration; `data` below `root` is the store's.
 * Rejects with what the server said when it does not get ready, or when `signal` aborts meanwhile.
 */
export async function startServer(root: string, settings: object, signal: AbortSignal): Promise<DemoServer> {
  signal.throwIfAborted();
  const config = join(root, "millpond.yaml");
  const data = join(root, "data");
  await mkdir(data, { recursive: true });
  await writeFile(config, JSON.stringify(settings)); // JSON is YAML
  const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
  const flags = ["--config", config, "--data-dir", data, "--grpc-port", "0", "--http-port", "0"];
  const child = spawn(process.execPath, [main, "serve", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "exit") as Promise<[code: number | null]>;
  try {
    const address = await addressOf(child, exited, AbortSignal.any([signal, AbortSignal.timeout(startMs)]));
    return { address, stop: () => stop(child, exited) };
  } catch (error) {
    await stop(child, exited);
    throw error;
  }
}

/** Reads what the server says until it names its gRPC address, and goes on reading so that it never has to wait. */
function addressOf(child: ChildProcess, exited: Promise<[number | null]>, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const said: string[] = [];
  const fail = (what: string) => {
    const output = said.length > 0 ? ["; its last lines:", ...said].join("\n  ") : " and printed nothing";
    reject(new Error(`the server ${what}${output}`));
  };
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    createInterface({ input: stream }).on("line", (line) => {
      said.push(line);
      if (said.length > lastLines) said.shift();
      const address = /\bgrpc\b.*?\b(127\.0\.0\.1:\d+)/i.exec(line)?.[1];
      if (stream === child.stdout && address !== undefined) resolve(address);
    });
  }
  exited.then(
    ([code]) => fail(`ended with exit code ${code}`),
    (error: Error) => fail(`did not start: ${error.message}`),
  );
  signal.addEventListener("abort", () => fail(`was not ready within ${startMs / 1000} s`), { once: true });
  return promise;
}

async function stop(child: ChildProcess, exited: Promise<[number | null]>): Promise<number | null> {
  if (child.pid === undefined) return null;
  const timer = setTimeout(() => child.kill("SIGKILL"), stopMs);
  child.kill("SIGTERM");
  const [code] = await exited;
  clearTimeout(timer);
  return code;
}
