import type { TestContext } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { Metadata } from "@grpc/grpc-js";
import type { Clock } from "../../../clients/typescript/clock.ts";
import { type ConnectOptions, connect } from "../../../clients/typescript/index.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../../src/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.ts";
import type { JobSpec, RefusalSchema } from "../../../src/gen/millpond/v1/job_pb.ts";
import { type Behaviour, type Receipt, startFakeServer } from "./fake-server.ts";

/** A clock whose waits are over at once, move the time on, and are written down. */
export function createFakeClock(startAt = 1_700_000_000_000) {
  const slept: number[] = [];
  let now = startAt;
  const clock: Clock = {
    now: () => now,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      slept.push(ms);
      now += ms;
      await new Promise(setImmediate);
    },
    after: () => () => undefined,
  };
  return { clock, slept, advance: (ms: number) => (now += ms) };
}

/** A fake server and a client of it on a fake clock; both end with the test. */
export async function start(t: TestContext, behaviour: Partial<Behaviour> = {}, options: Partial<ConnectOptions> = {}) {
  const server = await startFakeServer(behaviour);
  const { clock, slept, advance } = createFakeClock();
  const client = connect({ address: server.address, clock, random: () => 0.5, ...options });
  t.after(async () => {
    await client.close();
    server.stop();
  });
  return { server, client, slept, advance };
}

export type StatusFacts = {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly violations?: { readonly field: string; readonly description: string }[];
};

/** A status with google.rpc details, as Millpond's server sends it; to be thrown in the fake server. */
export function status({ code, reason, message, retryAfterMs, violations }: StatusFacts) {
  const details = [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason, domain: "millpond" }))];
  if (retryAfterMs !== undefined) {
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) })));
  }
  if (violations !== undefined) {
    details.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations: violations })));
  }
  const metadata = new Metadata();
  const bytes = toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
  metadata.set("grpc-status-details-bin", Buffer.from(bytes));
  return Object.assign(new Error(message), { code, details: message, metadata });
}

/** A status as a proxy or a transport makes it, without details. */
export function bareStatus(code: number, message: string) {
  return Object.assign(new Error(message), { code, details: message });
}

/** A receipt that says no. */
export function refused(reason: string, retryAfterMs?: number): Receipt {
  const value: MessageInitShape<typeof RefusalSchema> = {
    reason,
    message: `refused: ${reason}`,
    ...(retryAfterMs !== undefined && { retryAfter: durationFromMs(retryAfterMs) }),
  };
  return { receipt: { case: "refusal", value } };
}

/** The input of a job whose input is a JSON number, string or boolean. */
export function jsonOf({ input }: JobSpec): unknown {
  return input?.content.case === "json" ? input.content.value.kind.value : undefined;
}

/** Waits until `isSo`, a round of the event loop at a time; gives up after 10 s. */
export async function until(isSo: () => boolean): Promise<void> {
  const timeout = AbortSignal.timeout(10_000);
  while (!isSo()) {
    timeout.throwIfAborted();
    await new Promise(setImmediate);
  }
}

/** 0, 1, 2 ... up to but without `count`. */
export function* numbers(count: number): Generator<number> {
  for (let index = 0; index < count; index++) yield index;
}
