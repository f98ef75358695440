/**
 * Asks the server to cancel the running statement of a connection. That takes a second, short connection with the
 * secret key that only the first one's client knows. It does not log in, so the server does not count it as a session.
 * (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS)
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { systemClock } from "../../../clock.ts";

/** The server's address, and how to connect to it. */
export type Address = { readonly host: string; readonly port: number; readonly tls: ConnectionOptions | undefined };
/** The key that the server sent when the connection was opened. */
export type SessionKey = { readonly processId: number; readonly secret: number };

const boundMs = 2_000;
const protocolVersion = { cancel: 80_877_102, tls: 80_877_103 };

/**
 * Resolves when the server has received the request or cannot be reached. Only the original connection shows whether a
 * statement was cancelled.
 */
export async function requestCancel({ host, port, tls }: Address, { processId, secret }: SessionKey): Promise<void> {
  const socket = host.startsWith("/") ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  const done = Promise.withResolvers<void>();
  socket.once("close", done.resolve);
  socket.on("error", () => {}); // `close` follows
  const cancelTimer = systemClock.after(boundMs, () => socket.destroy());
  const request = numbers(16, protocolVersion.cancel, processId, secret);
  if (!tls) socket.end(request);
  else {
    socket.write(numbers(8, protocolVersion.tls));
    socket.once("data", (answer: Buffer) => sendEncrypted(socket, answer, tls, request));
  }
  await done.promise;
  cancelTimer();
}

function sendEncrypted(socket: Socket, answer: Buffer, tls: ConnectionOptions, request: Buffer): void {
  if (answer.toString("latin1") !== "S") return void socket.destroy(); // the key must not be sent unencrypted
  const encrypted = connectTls({ ...tls, socket });
  encrypted.on("error", () => socket.destroy());
  encrypted.end(request);
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeInt32BE(value, index * 4);
  return bytes;
}
