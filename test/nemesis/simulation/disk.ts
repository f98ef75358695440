/** A store on a simulated disk: answers come late and in order, and what was not answered may or may not have happened. */
import { refusal } from "../../../src/errors.ts";
import { withHints } from "../../../src/store/hints.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import type { Store, StoreCalls } from "../../../src/store/store.ts";
import type { Random } from "../random.ts";
import type { Life, World } from "./world.ts";

type Method = keyof StoreCalls;
const isCall = (name: string) => name !== "subscribe" && name !== "isShared";
const methods = Object.keys(createMemoryStore()).filter(isCall) as Method[];

export type Call = { readonly method: Method; readonly request: unknown };

/** What lies on the disk: it outlives the processes. */
export type Content = {
  store: Store;
  /** Every call that was committed, so that a power cut can take back those that were not synced. */
  journal: Call[];
  /** How many of them a power cut leaves. */
  synced: number;
};

export type Disk = {
  readonly store: Store;
  /** The next commit takes so much longer. */
  stall(ms: number): void;
  /** The next commit fails, and the store with it. */
  fail(): void;
  /** A commit that was to fail or to take longer, and has not begun, will not. */
  heal(): void;
  /** The process is dead: what was being committed may be there or not, the rest is not. */
  die(): void;
  /** Calls that wait for an answer: of this method, or of any. */
  waiting(method?: Method): number;
};

export type DiskParts = {
  readonly world: World;
  readonly life: Life;
  readonly content: Content;
  readonly random: Random;
  /** About how long a commit takes. */
  readonly commitMs: number;
  /** Whether a commit is safe from a power cut when it is answered. */
  readonly isSynced: () => boolean;
  /** Told of every call that was committed, in order. */
  readonly onApplied: (call: Call, answer: unknown) => void;
  readonly onFailure: () => void;
};

type Waiting = Call & { resolve(answer: unknown): void; reject(error: unknown): void };

export function createDisk(parts: DiskParts): Disk {
  const { world, life, content, random, commitMs } = parts;
  let queue: Waiting[] = [];
  /** What is being committed. */
  let batch: Waiting[] = [];
  let stalledMs = 0;
  let isFailing = false;
  let hasFailed = false;

  /** What piles up while one commit is under way shares the next. */
  function begin(): void {
    if (batch.length > 0 || queue.length === 0) return;
    batch = queue;
    queue = [];
    const tookMs = commitMs * (random.isLucky(0.05) ? 10 : 0.5 + random.next()) + stalledMs;
    stalledMs = 0;
    world.after(tookMs, () => void commit(), life);
  }

  async function commit(): Promise<void> {
    if (isFailing) return breakDown();
    const done = batch;
    const answers = await applyAll(done);
    batch = [];
    for (const [index, { resolve }] of done.entries()) resolve(answers[index]);
    begin();
  }

  function applyAll(calls: readonly Call[]): Promise<readonly unknown[]> {
    const { store } = content;
    content.journal.push(...calls);
    if (parts.isSynced()) content.synced = content.journal.length;
    // the memory store does all of it before it returns: nothing of another process comes between
    return Promise.all(
      calls.map(async (call) => {
        const answer = await (store[call.method] as (request: unknown) => Promise<unknown>)(call.request);
        parts.onApplied(call, answer);
        return answer;
      }),
    );
  }

  function breakDown(): void {
    hasFailed = true;
    if (random.isLucky(0.3)) void applyAll(batch);
    for (const { reject } of [...batch, ...queue]) reject(failure());
    batch = [];
    queue = [];
    parts.onFailure();
  }

  const ask = (method: Method) => (request: unknown) => {
    if (hasFailed) return Promise.reject(failure());
    return new Promise((resolve, reject) => {
      queue.push({ method, request, resolve, reject });
      begin();
    });
  };

  const failure = () => refusal("store_failed", ["the simulated disk"]);

  return {
    store: {
      ...withHints(Object.fromEntries(methods.map((method) => [method, ask(method)])) as StoreCalls),
      isShared: false,
    },
    stall(ms) {
      stalledMs += ms;
    },
    fail() {
      isFailing = true;
    },
    heal() {
      isFailing = false;
      stalledMs = 0;
    },
    die() {
      if (batch.length > 0 && random.isLucky(0.5)) void applyAll(batch);
    },
    waiting: (method) => [...batch, ...queue].filter((call) => method === undefined || call.method === method).length,
  };
}

/** What is left after a power cut. */
export async function cutPower(content: Content, createStore: () => Store): Promise<void> {
  if (content.synced === content.journal.length) return;
  content.journal.length = content.synced;
  content.store = createStore();
  for (const { method, request } of content.journal) {
    await (content.store[method] as (request: unknown) => Promise<unknown>)(request);
  }
}
