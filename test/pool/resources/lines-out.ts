/**
 * A resource as authors write them: each thread keeps one socket to a server, and holds a permit for it while it is open.
 * Its settings say what goes wrong.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { threadId } from "node:worker_threads";
import type { JsonValue } from "../../../src/job/job.ts";
import { defineResource, type Permit, type ResourceContext } from "../../../src/pool/resource.ts";

export type Settings = {
  readonly port: number;
  readonly connections: number;
  /** What the first, second, ... `setup` of a thread does; without more it works. */
  readonly setups?: readonly ("works" | "throws" | "waits for its signal" | "never returns")[];
  readonly teardown?: "works" | "throws" | "never returns";
};

let setups = 0;

export const linesOut = defineResource({
  name: "lines-out",
  settings(given): Settings {
    if (typeof given["port"] !== "number") throw new Error("port is missing");
    return { connections: 1, ...given } as Settings;
  },
  permits: ({ connections }) => ({ connections }),
  async setup(ctx) {
    const what = ctx.settings.setups?.[setups] ?? "works";
    setups += 1;
    ctx.log.info("sets up", { thread: threadId, what });
    if (what === "throws") throw new Error("no such host");
    if (what === "waits for its signal") await once(ctx.signal, "abort").then(() => ctx.signal.throwIfAborted());
    if (what === "never returns") await new Promise(() => {});
    return createLines(ctx);
  },
  async probe(lines, signal) {
    await lines.open(signal);
  },
  async teardown(lines) {
    lines.say("bye");
    await lines.close();
    if (lines.teardown === "throws") throw new Error("not let go of");
    if (lines.teardown === "never returns") await new Promise(() => {});
  },
});

function createLines({ settings, permits, report }: ResourceContext<Settings>) {
  const connections = permits("connections");
  let line: { readonly socket: Socket; readonly permit: Permit } | undefined;
  let isBusy = false;

  async function open(signal: AbortSignal): Promise<Socket> {
    if (line) return line.socket;
    const permit = await connections.acquire(signal);
    const socket = connect(settings.port, "127.0.0.1");
    try {
      await once(socket, "connect");
    } catch (error) {
      permit.release();
      report("main", (error as Error).message);
      throw error;
    }
    report("main", undefined);
    line = { socket, permit };
    socket.on("close", () => {
      if (line?.socket === socket) line = undefined;
      permit.release();
    });
    return socket;
  }

  async function close(): Promise<void> {
    if (!line) return;
    const { socket } = line;
    line = undefined; // the next attempt may begin before it is closed
    socket.end();
    if (!socket.closed) await once(socket, "close");
  }

  connections.onWanted(() => {
    if (!isBusy) void close();
  });
  return {
    teardown: settings.teardown,
    ...{ open, close },
    say: (what: string) => void line?.socket.write(`${what}\n`),
    async send(what: JsonValue | Uint8Array, signal: AbortSignal): Promise<string> {
      isBusy = true;
      try {
        const socket = await open(signal);
        socket.write(`${String(what)}\n`);
        const [answer] = (await once(socket, "data", { signal })) as [Buffer];
        return answer.toString().trim();
      } finally {
        isBusy = false;
      }
    },
  };
}
