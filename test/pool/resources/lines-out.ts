/**
 * A resource as authors write them: each thread keeps one socket to a server, and holds a permit for it while it is open.
 * What a job sends decides what happens to it.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { defineResource, type Permit } from "../../../src/pool/resource.ts";
import type { JsonValue } from "../../../src/job/job.ts";

type Line = { readonly socket: Socket; readonly permit: Permit };

export type Settings = {
  readonly port: number;
  readonly connections: number;
  /** What `setup` does instead: `throws`, `hangs`, `blocks`. */
  readonly setup?: string;
  readonly teardown?: string;
};

export const linesOut = defineResource({
  name: "lines-out",
  settings(given): Settings {
    if (typeof given["port"] !== "number") throw new Error("port is missing");
    return { connections: 1, ...given } as Settings;
  },
  permits: ({ connections }) => ({ connections }),
  async setup({ settings, permits, report, log, signal }) {
    const pool = permits("connections");
    let line: Line | undefined;
    let isBusy = false;

    async function close(): Promise<void> {
      if (!line) return;
      const { socket } = line;
      socket.end();
      if (!socket.closed) await once(socket, "close");
    }

    async function open(until: AbortSignal): Promise<Line> {
      const permit = await pool.acquire(until);
      const socket = connect(settings.port, "127.0.0.1");
      try {
        await once(socket, "connect");
      } catch (error) {
        permit.release();
        report("main", String(error));
        throw error;
      }
      report("main", undefined);
      socket.on("close", () => {
        line = undefined;
        permit.release();
      });
      return { socket, permit };
    }

    pool.onWanted(() => {
      if (!isBusy) void close();
    });
    log.info("set up");
    if (settings.setup === "throws") throw new Error("no such host");
    if (settings.setup === "hangs") await once(signal, "abort").then(() => signal.throwIfAborted());
    if (settings.setup === "never returns") await new Promise(() => {});
    return {
      async send(what: JsonValue | Uint8Array, until: AbortSignal): Promise<string> {
        isBusy = true;
        try {
          line ??= await open(until);
          line.socket.write(`${String(what)}\n`);
          const [answer] = (await once(line.socket, "data", { signal: until })) as [Buffer];
          return answer.toString().trim();
        } finally {
          isBusy = false;
        }
      },
      close,
    };
  },
  async teardown({ close }) {
    await close();
  },
});
