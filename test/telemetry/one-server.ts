/** Tests of traces that share a server. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { TestServer } from "../cli/server.ts";
import { makePlace } from "../server/place.ts";
import { openReceiver, otlp, type Span } from "./receiver.ts";

/** What a test asks of the server; it returns what has to hold of the spans once the server has stopped. */
type Asking = (server: TestServer) => Promise<(spans: readonly Span[]) => void>;

/**
 * Registers tests that share a server: their spans are complete only when it has stopped, and a start costs a second. It
 * is asked for all of them before the first, one after the other, and then stopped.
 */
export function inOneServer(): (name: string, ask: Asking) => void {
  const asked: { readonly ask: Asking; check: ReturnType<Asking> }[] = [];
  const ends: (() => unknown)[] = [];
  let spans: readonly Span[] = [];
  before(async () => {
    const t = { after: (end: () => unknown) => void ends.unshift(end) };
    const receiver = await openReceiver(t);
    const server = await (await makePlace(t)).start([], otlp(receiver));
    for (const each of asked) await Promise.allSettled([(each.check = each.ask(server))]);
    assert.equal((await server.signal("SIGTERM")).code, 0);
    ({ spans } = receiver);
  });
  after(async () => {
    for (const end of ends) await end();
  });
  return (name, ask) => {
    const own = { ask, check: Promise.resolve(() => undefined) as ReturnType<Asking> };
    asked.push(own);
    test(name, async () => (await own.check)(spans));
  };
}
