/** A pool whose tasks share lines to a server, which counts them. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import type { PoolOptions } from "../../../src/pool/pool.ts";
import { createResourceHost } from "../../../src/pool/resources/host.ts";
import { keptLog, loadHere } from "../../support/samples.ts";
import { tryPool } from "../try-pool.ts";
import type { Settings } from "./lines-out.ts";

/** Answers each line with how many it has had on that connection, unless it says `wait`: that is never answered. */
export async function startLineServer(t: TestContext, port = 0) {
  const open = new Set<Socket>();
  const counts = { opened: 0, mostOpen: 0 };
  const heard: string[] = [];
  const server = createServer((socket) => {
    open.add(socket);
    counts.opened += 1;
    counts.mostOpen = Math.max(counts.mostOpen, open.size);
    // a client that closes and then opens another line is seen to end the first before it begins the second
    socket
      .on("end", () => open.delete(socket))
      .on("close", () => open.delete(socket))
      .on("error", () => {});
    let answered = 0;
    const lines = createInterface(socket).on("line", (line) => {
      heard.push(line);
      if (line !== "wait") socket.write(`${(answered += 1)}\n`);
    });
    lines.on("error", () => {}); // its thread was ended
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    for (const socket of open) socket.destroy();
    server.close();
  };
  t.after(close);
  return { port: (server.address() as { port: number }).port, counts, heard, open, close };
}

/** Without a server the lines go to a port on which nobody listens. */
export async function tryLines(
  t: TestContext,
  given: Partial<Settings> = {},
  { clock = systemClock, ...options }: Partial<PoolOptions> = {},
) {
  const server = await startLineServer(t);
  const loaded = await loadHere(new URL("./tasks/", import.meta.url), {
    ...{ pools: ["tried"], resourceSettings: { "lines-out": { port: server.port, ...given } } },
  });
  const { log, lines } = keptLog();
  const host = createResourceHost({ resources: loaded.resources, clock, log, onChanged() {} });
  t.after(() => host.stop());
  const tasks = [...loaded.tasks.values()];
  const shared = { tasks, resourceHost: host, graceMs: 5_000 };
  return {
    ...tryPool(t, { ...shared, ...options }),
    ...{ server, host, tasks, shared, hostLines: lines },
    setUps: () => lines.filter(({ text }) => text === "sets up").length,
    /** What is known of a part. */
    problem: (part: string) => host.parts().find((each) => each.part === part)?.problem,
  };
}
