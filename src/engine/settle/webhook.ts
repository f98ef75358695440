/**
 * Reports events to one URL by POST, as JSON, in batches, one at a time. A batch that cannot be delivered is retried a
 * few times, then dropped, counted and logged. Only the host of the URL is logged, because the rest may be a secret.
 */
import { unescape } from "node:querystring";
import { type Clock, pause } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";

/** The part of the global `fetch` that is used. */
export type Fetch = (
  url: string,
  request: {
    readonly method: "POST";
    readonly headers: { readonly [name: string]: string };
    readonly body: string;
    /** A redirect would turn the POST into a GET, or lead to another host. */
    readonly redirect: "manual";
    readonly signal: AbortSignal;
  },
) => Promise<{ readonly status: number; readonly body: { cancel(): Promise<void> } | null }>;

export type Webhook = {
  /** Queues items, which must be plain JSON. At most ten thousand are queued; further ones are dropped. */
  enqueue(items: readonly object[]): void;
  /** Resolves once everything is delivered or dropped, after two seconds at most. Later items are dropped. */
  stop(): Promise<void>;
};

export type WebhookParts = {
  readonly url: string;
  /**
   * The items' name in the body, `{"<name>": [...], "dropped": 0}`; `dropped` is the number of items dropped before
   * these.
   */
  readonly name: string;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly log: Log;
};

const maxBatch = 100;
const maxWaiting = 10_000;
const timeoutMs = 5_000;
/** The pauses between the tries of one batch. */
const retryDelaysMs = [1_000, 4_000, 16_000];
const lastMs = 2_000;

/** Why a batch was not accepted; `isTransient`: a retry may help. */
type PostFailure = { readonly why: string; readonly isTransient: boolean };

export function createWebhook({ url, name, fetch, clock, log }: WebhookParts): Webhook {
  const { host, target, headers } = targetOf(url);
  const waiting: object[] = [];
  const stopping = new AbortController();
  const gaveUp = new AbortController();
  let sending: Promise<void> | undefined;
  /** Dropped items that no request and no log line has reported. */
  let unsent = 0;
  let unlogged = 0;

  async function sendAll(): Promise<void> {
    while (waiting.length > 0 && !gaveUp.signal.aborted) {
      const batch = waiting.splice(0, maxBatch);
      const dropped = unsent;
      const fault = await send(JSON.stringify({ [name]: batch, dropped }));
      if (fault) drop(batch.length);
      else unsent -= dropped;
      logDropped(fault?.why ?? `more than ${maxWaiting} waited`);
    }
    sending = undefined;
  }

  async function send(body: string): Promise<PostFailure | undefined> {
    for (let attempt = 0; ; attempt += 1) {
      const isLast = attempt === retryDelaysMs.length || stopping.signal.aborted;
      const fault = await post(body);
      if (!fault?.isTransient || isLast) return fault;
      await pause(clock, retryDelaysMs[attempt] as number, stopping.signal);
    }
  }

  async function post(body: string): Promise<PostFailure | undefined> {
    const late = new AbortController();
    const cancel = clock.after(timeoutMs, () => late.abort());
    try {
      const signal = AbortSignal.any([late.signal, gaveUp.signal]);
      const response = await fetch(target, { method: "POST", headers, body, redirect: "manual", signal });
      await response.body?.cancel();
      return failureOfStatus(response.status);
    } catch (error) {
      return { why: late.signal.aborted ? `it took longer than ${timeoutMs} ms` : reasonOf(error), isTransient: true };
    } finally {
      cancel();
    }
  }

  function drop(items: number): void {
    unsent += items;
    unlogged += items;
  }

  function logDropped(why: string): void {
    if (unlogged > 0) log.error({ host, dropped: unlogged, why }, `the webhook did not take ${name}`);
    unlogged = 0;
  }

  return {
    enqueue(items) {
      const room = stopping.signal.aborted ? 0 : maxWaiting - waiting.length;
      for (const item of items.slice(0, room)) waiting.push(item);
      drop(Math.max(items.length - room, 0));
      sending ??= sendAll();
    },
    async stop() {
      stopping.abort();
      const cancel = clock.after(lastMs, () => gaveUp.abort());
      await sending;
      cancel();
      drop(waiting.splice(0).length);
      logDropped("the server stopped");
    },
  };
}

/** `fetch` accepts no user name and password in a URL: they become a header. */
function targetOf(given: string) {
  const url = new URL(given);
  const { host, username, password } = url;
  url.username = "";
  url.password = "";
  const secret = Buffer.from(`${unescape(username)}:${unescape(password)}`).toString("base64");
  const headers = {
    "content-type": "application/json",
    "user-agent": "millpond",
    ...((username !== "" || password !== "") && { authorization: `Basic ${secret}` }),
  };
  return { host, target: url.href, headers };
}

function failureOfStatus(status: number): PostFailure | undefined {
  if (status >= 200 && status < 300) return undefined;
  return { why: `it answered ${status}`, isTransient: status >= 500 || status === 408 || status === 429 };
}

/** The error of `fetch` does not contain the reason, but its cause does, and names at most an address. */
function reasonOf(error: unknown): string {
  const cause: unknown = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const { code } = Object(cause) as { code?: unknown };
  return typeof code === "string" ? code : messageOf(cause);
}
