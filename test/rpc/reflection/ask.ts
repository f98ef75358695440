/** A client of the reflection protocol: one stream, one answer for each request. */
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../../src/gen/grpc/reflection/v1alpha/reflection_pb.ts";

export type Asked = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]>;

export const versions = { v1: ServerReflection, v1alpha: ServerReflectionV1Alpha } as const;
export type Version = keyof typeof versions;

export type ReflectionStream = {
  ask(request: Asked, host?: string): Promise<ServerReflectionResponse>;
  end(): void;
};

export function openReflection(transport: Transport, version: Version = "v1"): ReflectionStream {
  const client = createClient(versions[version], transport) as Client<typeof ServerReflection>;
  const waiting: { readonly host: string; readonly messageRequest: Asked }[] = [];
  let wake = () => {};
  let isEnded = false;
  async function* requests() {
    while (!isEnded || waiting.length > 0) {
      const next = waiting.shift();
      if (next) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const hangUp = new AbortController();
  const answers = client.serverReflectionInfo(requests(), { signal: hangUp.signal })[Symbol.asyncIterator]();
  return {
    async ask(messageRequest, host = "") {
      waiting.push({ host, messageRequest });
      wake();
      const { value, done } = await answers.next();
      if (done) throw new Error("the stream has ended");
      return value;
    },
    end() {
      isEnded = true;
      wake();
      hangUp.abort();
    },
  };
}
