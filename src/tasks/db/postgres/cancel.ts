/**
 * Asks the server to stop what a connection does. That takes a second, short connection, which carries the key that only the
 * first one's client knows. It does not log in, so the server does not count it among its sessions.
 * (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS)
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { systemClock } from "../../../clock.ts";

/** Where the server is, and how to connect to it. */
export type Address = { readonly host: string; readonly port: number; readonly tls: ConnectionOptions | undefined };
/** What the server reported when the connection was opened. */
export type SessionKey = { readonly processId: number; readonly secret: number };

const boundMs = 2_000;
const protocolVersion = { cancel: 80_877_102, tls: 80_877_103 };

/** Resolves when the server has the request or cannot be reached. Whether it stops anything, only the connection shows. */
export async function requestCancel({ host, port, tls }: Address, { processId, secret }: SessionKey): Promise<void> {
  const socket = host.startsWith("/") ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  const done = Promise.withResolvers<void>();
  socket.once("close", done.resolve);
  socket.on("error", () => {}); // it closes next
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
  if (answer.toString("latin1") !== "S") return void socket.destroy(); // the key is not for everyone to read
  const encrypted = connectTls({ ...tls, socket });
  encrypted.on("error", () => socket.destroy());
  encrypted.end(request);
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeInt32BE(value, index * 4);
  return bytes;
}
