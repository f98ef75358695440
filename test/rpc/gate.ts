/** The test's end of the task `gate`: sees every attempt begin, and decides how it ends. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";

import type { Saying } from "./tasks/gate.ts";

/** One attempt that is running and waits to be told its end. */
export type HeldAttempt = {
  readonly jobId: string;
  readonly attempt: number;
  pass(): void;
  fail(): void;
  /** Has it write to its log, or report progress. */
  say(saying: Saying): void;
  /** Resolves when the attempt has ended, in whichever way. */
  readonly ended: Promise<void>;
};

export type Gate = {
  readonly port: number;
  /** The next attempt that began, in the order in which they did. */
  next(): Promise<HeldAttempt>;
  /** Every attempt that began so far, as `jobId attempt`. */
  readonly begun: readonly string[];
  /** From now on every attempt passes at once. */
  open(): void;
  close(): Promise<void>;
};

export async function openGate(): Promise<Gate> {
  const begun: string[] = [];
  const held: HeldAttempt[] = [];
  const sockets = new Set<Socket>();
  let isOpen = false;
  const waiting: ((attempt: HeldAttempt) => void)[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    createInterface({ input: socket })
      .on("error", () => undefined)
      .once("line", (line) => {
        begun.push(line);
        const [jobId = "", attempt] = line.split(" ");
        const tell = (word: string) => () => void socket.write(`${word}\n`);
        if (isOpen) return tell("pass")();
        const say = (saying: Saying) => void socket.write(`say ${JSON.stringify(saying)}\n`);
        const ended = new Promise<void>((resolve) => void socket.once("close", () => resolve()));
        const began = { jobId, attempt: Number(attempt), pass: tell("pass"), fail: tell("fail"), say, ended };
        const first = waiting.shift();
        if (first) first(began);
        else held.push(began);
      });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    begun,
    async next() {
      return held.shift() ?? new Promise((resolve) => void waiting.push(resolve));
    },
    open() {
      isOpen = true;
      for (const attempt of held.splice(0)) attempt.pass();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
