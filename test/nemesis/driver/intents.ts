/** The load: which jobs a client submits, drawn from its own source of chance. */
import { create, fromJson } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type JobSpec, JobSpecSchema, RetryPolicy_Jitter } from "../../../src/gen/millpond/v1/job_pb.ts";
import type { Intent } from "../history/event.ts";
import { now } from "../history/log.ts";
import type { Random } from "../random.ts";
import type { HashInput, Murder } from "../tasks/hash.ts";

/** What a job is for, beyond the many that just succeed. */
type Plan = "quick" | "slow" | "failing" | "dying" | "permanent" | "cancelled" | "delayed" | "keyed" | "retried";

export type LoadOptions = {
  readonly client: string;
  readonly channel: string;
  readonly random: Random;
  /** Whether the server knows delays, keys, retry policies and cancelling. */
  readonly isFull: boolean;
  /** Bytes that are added to one input in fifty, so that payloads of every size are stored. */
  readonly largeBytes: number;
  /** Letters that each output has beside the hash. */
  readonly padding: number;
  /** How long a slow job lasts at most. */
  readonly longMs: number;
  /** How many of about a hundred jobs are slow. */
  readonly slowShare: number;
  /** Whether jobs go on when they are asked to stop. */
  readonly isDeaf: boolean;
};

/** An intent with what the driver itself has to do about it. */
export type Planned = { readonly intent: Intent; readonly spec: JobSpec; readonly isToCancel: boolean };

const weights: readonly (readonly [Plan, number])[] = [
  ["quick", 79],
  ["slow", 4],
  ["failing", 5],
  ["dying", 2],
  ["permanent", 2],
  ["cancelled", 2],
  ["delayed", 2],
  ["keyed", 3],
  ["retried", 1],
];

const retryBaseMs = 400;
const murderTimeoutMs = 300;
/** One key in three is submitted twice, under two ids. */
const repeatedKeys = 1 / 3;

/** Endless; the next is drawn when it is asked for. */
export function createLoad({
  client,
  channel,
  random,
  isFull,
  largeBytes,
  padding,
  longMs,
  slowShare,
  isDeaf,
}: LoadOptions): () => Planned {
  const old: ReadonlySet<Plan> = new Set(["quick", "slow", "failing", "dying", "permanent"]);
  const plans = weights.filter(([plan]) => isFull || old.has(plan));
  const shareOf = ([plan, weight]: (typeof weights)[number]) => (plan === "slow" ? slowShare : weight);
  const drawn = plans.flatMap((each) => new Array<Plan>(shareOf(each)).fill(each[0]));
  let count = 0;
  let repeated: Planned | undefined;

  function make(intent: Intent, isToCancel: boolean, specials: Partial<JobSpec> = {}): Planned {
    return { intent, isToCancel, spec: toSpec(intent, specials, { padding, isDeaf }) };
  }

  return () => {
    count += 1;
    const id = newId(random);
    if (repeated) {
      const { intent, spec } = repeated;
      repeated = undefined;
      return make({ ...intent, id }, false, { idempotencyKey: spec.idempotencyKey });
    }
    const plan = random.pick(drawn);
    const large = random.isLucky(0.02) ? "x".repeat(random.integer(0, largeBytes)) : "";
    const plain: Intent = {
      ...{ id, key: null, channel, input: `${client} ${channel} ${count} ${random.integer(0, 1e9)}${large}` },
      ...{ maxAttempts: 4, failures: 0, isPermanent: false, lastsMs: 0, notBefore: null, retry: null },
    };
    switch (plan) {
      case "quick":
        return make(plain, false);
      case "slow":
        return make({ ...plain, lastsMs: random.integer(1, longMs) }, false);
      case "failing":
        return make({ ...plain, failures: random.integer(1, 2) }, false);
      case "dying":
        return make({ ...plain, failures: 99 }, false);
      case "permanent":
        return make({ ...plain, failures: 99, isPermanent: true }, false);
      case "cancelled":
        return make({ ...plain, lastsMs: random.isLucky(0.3) ? random.integer(20, 150) : 0 }, true);
      case "delayed": {
        const notBefore = Math.floor(now()) + random.integer(50, 2_000);
        const start = { case: "runAt", value: timestampFromMs(notBefore) } as const;
        return make({ ...plain, notBefore }, false, { start });
      }
      case "keyed": {
        const key = `${channel}-${count}`;
        const planned = make({ ...plain, key }, false, { idempotencyKey: key });
        if (random.isLucky(repeatedKeys)) repeated = planned;
        return planned;
      }
      case "retried": {
        const hasJitter = random.isLucky(0.5);
        const policy = {
          base: durationFromMs(retryBaseMs),
          maxBackoff: durationFromMs(60_000),
          factor: 2,
          jitter: hasJitter ? RetryPolicy_Jitter.FULL : RetryPolicy_Jitter.NONE,
        };
        const retry = { baseMs: retryBaseMs, hasJitter };
        return make({ ...plain, failures: 1, retry }, false, {
          priority: 100, // so that the delay is seen and not the wait behind others
          retry: policy as unknown as NonNullable<JobSpec["retry"]>,
        });
      }
    }
  };
}

/** A job whose first attempt ends its thread or its process, and whose second succeeds. */
export function toMurder({ client, channel, random }: LoadOptions, murder: Murder): Planned {
  const intent: Intent = {
    ...{ id: newId(random), key: null, channel, input: `${client} ${channel} ${murder} ${random.integer(0, 1e9)}` },
    ...{ maxAttempts: 4, failures: 1, isPermanent: false, lastsMs: 0, notBefore: null, retry: null },
  };
  // only a loop needs it: nothing else would ever end that attempt
  const timeout = { timeout: durationFromMs(murderTimeoutMs) };
  return { intent, isToCancel: false, spec: toSpec(intent, murder === "loop" ? timeout : {}, { murder }) };
}

function toSpec(
  { id, channel, input, failures, isPermanent, lastsMs }: Intent,
  specials: Partial<JobSpec>,
  more: Partial<HashInput> = {},
): JobSpec {
  const json: HashInput = { text: input, failures, isPermanent, lastsMs, ...more };
  return create(JobSpecSchema, {
    ...{ id, channel, task: "nemesis.hash" },
    input: { content: { case: "json", value: fromJson(ValueSchema, json) } },
    ...(specials as object),
  });
}

/** A UUIDv7 whose random part comes from the run's own source. */
function newId(random: Random): string {
  const hex = (digits: number, value: number) => value.toString(16).padStart(digits, "0").slice(-digits);
  const ms = hex(12, Math.floor(now()));
  const low = () => random.integer(0, 0xffff);
  const end = `${hex(4, low())}${hex(4, low())}${hex(4, low())}`;
  return `${ms.slice(0, 8)}-${ms.slice(8)}-7${hex(3, low())}-${hex(4, 0x8000 | (low() & 0x3fff))}-${end}`;
}
