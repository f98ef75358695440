/** Requests that no proper client sends: begun and never ended, or ended in no proper way. */
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { connect as connectSocket, type Socket } from "node:net";

const submitPath = "/millpond.v1.WorkerPoolService/Submit";

/** One envelope whose head promises `length` bytes, with the first `sent` of them. */
export function envelope(length: number, sent: number = length, isCompressed = false): Buffer {
  const bytes = Buffer.alloc(5 + sent);
  bytes.writeUInt8(isCompressed ? 1 : 0, 0);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

export function dial(address: string): ClientHttp2Session {
  const session = connect(`http://${address}`);
  session.on("error", () => undefined);
  return session;
}

/** A call of gRPC whose request is not ended. */
export function begin(
  session: ClientHttp2Session,
  headers: { readonly [name: string]: string } = {},
): ClientHttp2Stream {
  const fixed = { ":method": "POST", ":path": submitPath, "content-type": "application/grpc", te: "trailers" };
  const stream = session.request({ ...fixed, ...headers });
  stream.on("error", () => undefined);
  return stream.resume();
}

/** A unary call of Connect or gRPC-Web whose body has this many bytes, or any number of chunks. */
export async function beginHttp1(
  address: string,
  length: number | "chunked",
  contentType = "application/json",
): Promise<Socket> {
  const [host, port] = address.split(":");
  const socket = connectSocket({ host, port: Number(port) });
  socket.on("error", () => undefined).resume();
  await once(socket, "connect");
  const head = [
    `POST ${submitPath} HTTP/1.1`,
    `host: ${address}`,
    `content-type: ${contentType}`,
    length === "chunked" ? "transfer-encoding: chunked" : `content-length: ${length}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  return socket;
}
