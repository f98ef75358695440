/** The least that a gRPC server in this process could do: grpc-js alone, in a process of its own. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Server, ServerCredentials, type ServiceDefinition, Server as GrpcServer } from "@grpc/grpc-js";
import { ReceiptSchema } from "../../../src/gen/millpond/v1/job_pb.ts";
import {
  type SubmitRequest,
  SubmitRequestSchema,
  type SubmitResponse,
  SubmitResponseSchema,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { answerCalls } from "../child.ts";
import { messagesMethod, submitMethod } from "./echo.ts";

let server: Server | undefined;

const calls = { listen };

export type EchoServerCalls = typeof calls;

answerCalls(calls);

/** Answers `Submit` with the ids it was sent, and a stream with the bytes it was sent. Resolves with its address. */
async function listen({ host }: { readonly host: string }): Promise<string> {
  server = new GrpcServer();
  server.addService(definition, {
    submit: (call: { request: SubmitRequest }, answer: (error: null, response: SubmitResponse) => void) => {
      const receipts = call.request.jobs.map(({ id }) =>
        create(ReceiptSchema, { receipt: { case: "jobId", value: id } }),
      );
      answer(null, create(SubmitResponseSchema, { receipts }));
    },
    messages: (call: NodeJS.ReadWriteStream) => {
      call.pipe(call);
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync(`${host}:0`, ServerCredentials.createInsecure(), (error, port) =>
    error ? reject(error) : resolve(port),
  );
  return `${host}:${await promise}`;
}

const bytes = (given: Buffer) => given;

const definition: ServiceDefinition = {
  submit: {
    path: submitMethod,
    requestStream: false,
    responseStream: false,
    requestSerialize: (request: SubmitRequest) => Buffer.from(toBinary(SubmitRequestSchema, request)),
    requestDeserialize: (encoded) => fromBinary(SubmitRequestSchema, encoded),
    responseSerialize: (response: SubmitResponse) => Buffer.from(toBinary(SubmitResponseSchema, response)),
    responseDeserialize: (encoded) => fromBinary(SubmitResponseSchema, encoded),
  },
  messages: {
    path: messagesMethod,
    requestStream: true,
    responseStream: true,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
};
