/** The bare echo's client: grpc-js alone. It runs in the load generator's process. */
import { setTimeout as delay } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import { job } from "../../../clients/typescript/index.ts";
import {
  ExchangeRequestSchema,
  ExchangeSubmitSchema,
  type SubmitRequest,
  SubmitRequestSchema,
  type SubmitResponse,
  SubmitResponseSchema,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { type CallSlice, makeCalls, type SubmitLoad } from "../load/submit.ts";
import { messagesMethod, submitMethod } from "./echo.ts";

export type EchoLoad = { readonly address: string; readonly seconds: number };

/** Messages sent and not yet back. */
const messagesInFlight = 1_000;

/** Small messages, one job in each, there and back on one stream. Resolves with messages per second. */
export async function runEchoMessages({ address, seconds }: EchoLoad): Promise<number> {
  const client = new Client(address, credentials.createInsecure());
  const bytes = (given: Buffer) => given;
  const stream = client.makeBidiStreamRequest(messagesMethod, bytes, bytes);
  const failed = Promise.withResolvers<never>();
  stream.on("error", failed.reject);
  failed.promise.catch(() => undefined); // also when it is cancelled at the end
  const jobs = [job("no-op", undefined).spec];
  const submit = create(ExchangeSubmitSchema, { seq: 1, jobs });
  const request = create(ExchangeRequestSchema, { request: { case: "submit", value: submit } });
  const message = Buffer.from(toBinary(ExchangeRequestSchema, request));
  let received = 0;
  let sent = 0;
  let isFull = false;
  const fill = () => {
    for (; !isFull && sent - received < messagesInFlight; sent += 1) isFull = !stream.write(message);
  };
  stream.on("drain", () => {
    isFull = false;
    fill();
  });
  stream.on("data", () => {
    received += 1;
    fill();
  });
  try {
    const startedAt = performance.now();
    fill();
    await Promise.race([delay(seconds * 1000), failed.promise]);
    return (received / (performance.now() - startedAt)) * 1000;
  } finally {
    stream.cancel();
    client.close();
  }
}

/** `Submit` calls of one job each, in the shape of Millpond's own. */
export async function runEchoCalls({ address, seconds, callers }: Omit<SubmitLoad, "channel">): Promise<CallSlice> {
  const client = new Client(address, credentials.createInsecure());
  try {
    return await makeCalls({ seconds, callers }, async () => {
      const { promise, resolve, reject } = Promise.withResolvers<SubmitResponse | undefined>();
      client.makeUnaryRequest(
        submitMethod,
        (request: SubmitRequest) => Buffer.from(toBinary(SubmitRequestSchema, request)),
        (bytes) => fromBinary(SubmitResponseSchema, bytes),
        create(SubmitRequestSchema, { jobs: [job("no-op", undefined).spec] }),
        (error, response) => (error ? reject(error) : resolve(response)),
      );
      await promise;
    });
  } finally {
    client.close();
  }
}
