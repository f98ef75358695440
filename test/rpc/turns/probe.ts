/** Asks the server of `child.ts` in raw bytes, and how long that kept its main thread. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type DescMethod, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import type { Asked, Told } from "./child.ts";

/** A request in the wire format, or as the text of its JSON. */
export type Raw = Uint8Array | string;

export type Probe = {
  readonly grpcAddress: string;
  readonly httpAddress: string;
  /** Makes the call, whatever becomes of it, and says for how long, in CPU time, the main thread was busy at most without a break. */
  busyMs(method: DescMethod, requests: readonly Raw[]): Promise<number>;
  stop(): Promise<void>;
};

/** Streams are read until this many messages have come, or until they end. */
const fewMessages = 2;

export async function startProbe(): Promise<Probe> {
  const child = fork(fileURLToPath(new URL("./child.ts", import.meta.url)), { stdio: "inherit" });
  const told = async (): Promise<Told> => (await once(child, "message"))[0] as Told;
  const ask = (asked: Asked): Promise<Told> => {
    const answer = told();
    child.send(asked);
    return answer;
  };
  const serving = await told();
  if (serving.kind !== "serving") throw new Error(`the server said ${serving.kind}`);
  const { grpcAddress, httpAddress } = serving;
  const grpc = new Client(grpcAddress, credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  });

  return {
    grpcAddress,
    httpAddress,
    async busyMs(method, requests) {
      await ask("begin");
      const [first] = requests;
      if (typeof first === "string") await overHttp(httpAddress, method, first);
      else await overGrpc(grpc, method, requests as readonly Uint8Array[]);
      const longest = await ask("longest");
      return longest.kind === "longest" ? longest.cpuMs : Number.NaN;
    },
    async stop() {
      grpc.close();
      const gone = once(child, "exit");
      child.send("stop" satisfies Asked);
      await gone;
    },
  };
}

/** The request in both forms. */
export function inBothForms(method: DescMethod, message: Message): readonly [Uint8Array, string] {
  return [toBinary(method.input, message), toJsonString(method.input, message)];
}

const asIs = (bytes: Buffer) => bytes;

function overGrpc(client: Client, method: DescMethod, requests: readonly Uint8Array[]): Promise<void> {
  const path = `/${method.parent.typeName}/${method.name}`;
  const call = client.makeBidiStreamRequest(path, asIs, asIs);
  return new Promise((resolve) => {
    let messages = 0;
    call.on("data", () => {
      messages += 1;
      if (messages === fewMessages) call.cancel();
    });
    call.on("error", () => undefined);
    call.on("status", () => resolve());
    for (const request of requests) call.write(Buffer.from(request));
    call.end();
  });
}

async function overHttp(address: string, method: DescMethod, request: string): Promise<void> {
  const isUnary = method.methodKind === "unary";
  const body = Buffer.from(request);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  const response = await fetch(`http://${address}/${method.parent.typeName}/${method.name}`, {
    method: "POST",
    headers: { "content-type": isUnary ? "application/json" : "application/connect+json" },
    body: isUnary ? body : Buffer.concat([head, body]),
  });
  const reader = response.body?.getReader();
  // two chunks or the end: a stream may go on for ever
  for (let read = 0; read < fewMessages; read += 1) if ((await reader?.read())?.done !== false) break;
  await reader?.cancel();
}
