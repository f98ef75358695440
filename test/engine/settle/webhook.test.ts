/** The webhook against a real HTTP server. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { createWebhook, type Fetch } from "../../../src/engine/settle/webhook.ts";
import { createFakeClock, turn } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";

type Call = { readonly request: IncomingMessage; readonly body: Body; readonly response: ServerResponse };
type Body = { readonly things: readonly object[]; readonly dropped: number };

/** A server whose calls the test takes one by one and answers when it likes, and a webhook that calls it. */
async function open(
  t: TestContext,
  { secret = "", fetch = globalThis.fetch }: { secret?: string; fetch?: Fetch } = {},
) {
  const calls: Call[] = [];
  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    const body = JSON.parse(await text(request)) as Body;
    calls.push({ request, body, response });
  };
  const server = createServer((request, response) => void receive(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const fake = createFakeClock();
  let lastDelayMs = 0;
  const clock = {
    ...fake,
    after(delayMs: number, action: () => void) {
      lastDelayMs = delayMs;
      return fake.after(delayMs, action);
    },
  };
  const { lines, log } = keptLog();
  const url = `http://${secret}127.0.0.1:${port}/hook?token=hidden`;
  const webhook = createWebhook({ url, name: "things", fetch, clock, log });
  return {
    ...{ webhook, clock, lines, calls, port, server },
    /** The next call that comes. */
    async next(): Promise<Call> {
      await until(() => calls.length > 0);
      return calls.shift() as Call;
    },
    /** Waits until the next timer is one of `delayMs`. */
    timer: (delayMs: number) => until(() => lastDelayMs === delayMs),
  };
}

/** Takes turns until something has happened in this process. */
async function until(isSo: () => boolean): Promise<void> {
  for (let turns = 0; !isSo(); turns += 1) {
    assert.ok(turns < 200_000, "it did not happen");
    await turn();
  }
}

const things = (count: number) => Array.from({ length: count }, (_, n) => ({ n }));
const answer = ({ response }: Call, status = 204) => void response.writeHead(status).end();
const said = (lines: ReturnType<typeof keptLog>["lines"]) => JSON.stringify(lines);

test("is told by POST, as JSON, at once", async (t) => {
  const { webhook, next } = await open(t);
  webhook.enqueue(things(2));
  const call = await next();
  assert.equal(call.request.method, "POST");
  assert.equal(call.request.url, "/hook?token=hidden");
  assert.equal(call.request.headers["content-type"], "application/json");
  assert.equal(call.request.headers.authorization, undefined);
  assert.deepEqual(call.body, { things: [{ n: 0 }, { n: 1 }], dropped: 0 });
  answer(call);
  await webhook.stop();
});

test("one call is under way at a time; what comes meanwhile goes together, at most a hundred", async (t) => {
  const { webhook, next, calls } = await open(t);
  webhook.enqueue(things(1));
  const first = await next();
  for (let times = 0; times < 25; times += 1) webhook.enqueue(things(6));
  await turn();
  assert.equal(calls.length, 0);
  answer(first);
  const second = await next();
  assert.equal(second.body.things.length, 100);
  await turn();
  assert.equal(calls.length, 0);
  answer(second, 200);
  const third = await next();
  assert.equal(third.body.things.length, 50);
  answer(third);
  await webhook.stop();
});

for (const status of [500, 503, 429, 408]) {
  test(`an answer of ${status} is tried again after 1, 4 and 16 s, then dropped, logged, and told with the next`, async (t) => {
    const { webhook, next, clock, lines, timer } = await open(t);
    webhook.enqueue(things(3));
    for (const delayMs of [1000, 4000, 16_000]) {
      answer(await next(), status);
      await timer(delayMs);
      clock.advance(delayMs);
    }
    answer(await next(), status);
    await until(() => lines.length > 0);
    assert.deepEqual(lines[0]?.fields, { host: lines[0]?.fields.host, dropped: 3, why: `it answered ${status}` });
    webhook.enqueue(things(1));
    const call = await next();
    assert.deepEqual(call.body, { things: [{ n: 0 }], dropped: 3 });
    answer(call);
    await until(() => clock.timers() === 0);
    webhook.enqueue(things(1));
    const last = await next();
    assert.equal(last.body.dropped, 0);
    answer(last);
    await webhook.stop();
  });
}

for (const status of [301, 307, 400, 401, 404]) {
  test(`an answer of ${status} is not tried again and leads nowhere else`, async (t) => {
    const { webhook, next, lines, calls } = await open(t);
    webhook.enqueue(things(1));
    const { response } = await next();
    response.writeHead(status, { location: "/elsewhere" }).end("no");
    await until(() => lines.length > 0);
    assert.equal(lines[0]?.fields.why, `it answered ${status}`);
    await webhook.stop();
    assert.equal(calls.length, 0);
  });
}

test("no answer within 5 s is tried again", async (t) => {
  const { webhook, next, clock, timer } = await open(t);
  webhook.enqueue(things(1));
  const silent = await next();
  const closed = once(silent.response, "close");
  clock.advance(4999);
  await turn();
  assert.equal(clock.timers(), 1);
  clock.advance(1);
  await closed;
  await timer(1000);
  clock.advance(1000);
  answer(await next());
  await webhook.stop();
});

test("nobody there is tried again, and the log says why without the URL", async (t) => {
  const { webhook, clock, lines, server, port, timer } = await open(t, { secret: "user:pa%20ss@" });
  server.close();
  await once(server, "close");
  webhook.enqueue(things(1));
  for (const delayMs of [1000, 4000, 16_000]) {
    await timer(delayMs);
    clock.advance(delayMs);
  }
  await until(() => lines.length > 0);
  assert.deepEqual(lines[0]?.fields, { host: `127.0.0.1:${port}`, dropped: 1, why: "ECONNREFUSED" });
  assert.doesNotMatch(said(lines), /hidden|user|pa/);
  await webhook.stop();
});

test("a name and a password in the URL become a header", async (t) => {
  const { webhook, next } = await open(t, { secret: "user:p%40ss%zz@" });
  webhook.enqueue(things(1));
  const call = await next();
  assert.equal(call.request.headers.authorization, `Basic ${btoa("user:p@ss%zz")}`);
  assert.equal(call.request.url, "/hook?token=hidden");
  answer(call);
  await webhook.stop();
});

test("more than ten thousand that wait are dropped, counted, and logged once a call at most", async (t) => {
  const { webhook, next, lines } = await open(t);
  webhook.enqueue(things(1));
  const first = await next();
  for (let times = 0; times < 12; times += 1) webhook.enqueue(things(1000));
  assert.equal(lines.length, 0);
  answer(first);
  const second = await next();
  assert.equal(second.body.dropped, 2000);
  assert.deepEqual(
    lines.map(({ fields }) => [fields.dropped, fields.why]),
    [[2000, "more than 10000 waited"]],
  );
  answer(second, 400);
  const third = await next();
  assert.equal(third.body.dropped, 2100);
  answer(third, 400);
  const stopped = webhook.stop();
  for (let left = 98; left > 0; left -= 1) answer(await next());
  await stopped;
});

test("stop lets what waits be told, once more without a pause", async (t) => {
  const { webhook, next, clock, timer } = await open(t);
  webhook.enqueue(things(101));
  answer(await next(), 500);
  await timer(1000);
  const stopped = webhook.stop();
  const again = await next();
  assert.equal(again.body.things.length, 100);
  answer(again, 500);
  const rest = await next();
  assert.deepEqual([rest.body.things.length, rest.body.dropped], [1, 100]);
  answer(rest);
  await stopped;
  assert.equal(clock.timers(), 0);
});

test("stop takes two seconds at most; what is not told then, or comes later, is dropped and logged", async (t) => {
  const { webhook, next, clock, lines, calls } = await open(t);
  webhook.enqueue(things(150));
  await next();
  const stopped = webhook.stop();
  clock.advance(2000);
  await stopped;
  assert.equal(clock.timers(), 0);
  assert.deepEqual(
    lines.map(({ fields }) => fields.dropped),
    [100, 50],
  );
  webhook.enqueue(things(1));
  await turn();
  assert.equal(calls.length, 0);
});
