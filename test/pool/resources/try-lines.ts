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

/** Answers each line with its number on its connection, unless it says `wait`: that is answered when the test says so. */
async function startLineServer(t: TestContext) {
  const open = new Set<Socket>();
  const counts = { opened: 0, mostOpen: 0 };
  const waiting: (() => void)[] = [];
  const server = createServer((socket) => {
    open.add(socket);
    counts.opened += 1;
    counts.mostOpen = Math.max(counts.mostOpen, open.size);
    socket.on("close", () => open.delete(socket)).on("error", () => {});
    let answered = 0;
    createInterface(socket).on("line", (line) => {
      const answer = () => void socket.write(`${(answered += 1)}\n`);
      if (line === "wait") waiting.push(answer);
      else answer();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return { port, counts, open, waiting };
}

export async function tryLines(t: TestContext, given: Partial<Settings> = {}, options: Partial<PoolOptions> = {}) {
  const server = await startLineServer(t);
  const settings = { port: server.port, ...given };
  const loaded = await loadHere(new URL("./tasks/", import.meta.url), {
    ...{ pools: ["tried"], resourceSettings: { "lines-out": settings } },
  });
  const { log, lines } = keptLog();
  const changes = { count: 0 };
  const host = createResourceHost({
    ...{ resources: loaded.resources, now: systemClock.now, log },
    onChanged: () => void (changes.count += 1),
  });
  const tried = tryPool(t, {
    ...{ tasks: [...loaded.tasks.values()], resourceHost: host, maxWorkers: 2, graceMs: 2_000 },
    ...options,
  });
  return { ...tried, server, host, hostLines: lines, tasks: [...loaded.tasks.values()] };
}
