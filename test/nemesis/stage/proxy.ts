/**
 * The way between clients and server: a TCP port that stays the same while servers come and go, and that can do to
 * connections what networks do.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Random } from "../random.ts";

/** What a network does to the connections that are there. */
export type Trouble =
  /** Everything comes later, for a while. */
  | { readonly kind: "delay"; readonly ms: number }
  /** A few bytes at a time, for a while. */
  | { readonly kind: "trickle"; readonly bytes: number }
  /** Nothing comes any more and nobody is told. */
  | { readonly kind: "half-open" }
  /** Ended with a reset. */
  | { readonly kind: "reset" }
  /** A part of what is under way still comes, then the connection is closed. */
  | { readonly kind: "cut" };

export type Proxy = {
  readonly address: string;
  /** From now on new connections go to this address. While nothing listens there they are closed at once. */
  leadTo(address: string): void;
  /** Does this to some of the connections, at least one; returns how many there were to be hurt. */
  trouble(trouble: Trouble, random: Random): number;
  /** Later bytes pass as they come. Half-open connections stay as they are. */
  calm(): void;
  close(): Promise<void>;
};

type Pair = { readonly near: Socket; readonly far: Socket; trouble: Trouble | undefined };

const trickleMs = 2;

export async function openProxy(): Promise<Proxy> {
  let target = "";
  const pairs = new Set<Pair>();
  const server = createServer((near) => {
    const [host, port] = target.split(":") as [string, string];
    if (port === undefined) return void near.destroy();
    const far = connect(Number(port), host);
    const pair: Pair = { near, far, trouble: undefined };
    pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true);
      from.on("error", () => undefined); // what broke closes, and that is passed on
      from.on("close", () => {
        pairs.delete(pair);
        if (pair.trouble?.kind !== "half-open") to.destroy();
      });
      void pass(pair, from, to);
    }
    return undefined;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    leadTo: (address) => {
      target = address;
    },
    trouble: (trouble, random) => {
      // what is half-open stays so: a stream of bytes with a hole in it is nothing a network does
      const there = [...pairs].filter((pair) => pair.trouble?.kind !== "half-open");
      if (there.length === 0) return 0;
      const hurt = there.filter(() => random.isLucky(0.5));
      if (hurt.length === 0) hurt.push(random.pick(there));
      for (const pair of hurt) {
        pair.trouble = trouble;
        if (trouble.kind === "reset") for (const socket of [pair.near, pair.far]) socket.resetAndDestroy();
      }
      return hurt.length;
    },
    calm: () => {
      for (const pair of pairs) if (pair.trouble?.kind !== "half-open") pair.trouble = undefined;
    },
    close: async () => {
      for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

/** Passes bytes on until one end closes, in the way that the pair's trouble says at that moment. */
async function pass(pair: Pair, from: Socket, to: Socket): Promise<void> {
  const wait = (ms: number) => new Promise((resolve) => void setTimeout(resolve, ms));
  const write = async (bytes: Uint8Array) => {
    if (to.destroyed || to.write(bytes)) return;
    await Promise.race([once(to, "drain"), once(to, "close")]).catch(() => undefined);
  };
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      const { trouble } = pair;
      switch (trouble?.kind) {
        case "half-open":
          continue; // it is read and lost
        case "cut":
          await write(chunk.subarray(0, chunk.length >> 1));
          from.destroy();
          to.end();
          return;
        case "delay":
          await wait(trouble.ms);
          await write(chunk);
          break;
        case "trickle":
          for (let at = 0; at < chunk.length && pair.trouble === trouble; at += trouble.bytes) {
            await write(chunk.subarray(at, at + trouble.bytes));
            await wait(trickleMs);
            if (pair.trouble !== trouble) await write(chunk.subarray(at + trouble.bytes));
          }
          break;
        default:
          await write(chunk);
      }
    }
    if (pair.trouble?.kind !== "half-open") to.end();
  } catch {
    if (pair.trouble?.kind !== "half-open") to.destroy();
  }
}
