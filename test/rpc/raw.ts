/** Bytes on a bare connection, for what no client library would send. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export type Header = readonly [name: string, value: string];

export const portOf = (address: string): number => Number(address.split(":").at(-1));

/** Opens a connection, sends these bytes, ends its side, and returns what came back before the server closed. */
export async function sendRaw(port: number, bytes: string | Buffer): Promise<string> {
  const { socket, received } = await dial(port);
  socket.end(bytes, "latin1");
  await once(socket, "close");
  return received();
}

/** Opens a connection, sends these bytes, and breaks it as soon as they are with the operating system. */
export async function sendAndReset(port: number, bytes: string | Buffer): Promise<void> {
  const { socket } = await dial(port);
  socket.write(bytes, "latin1", () => socket.resetAndDestroy());
  await once(socket, "close");
}

/** Sends these bytes and returns all that has come once `isEnough`, or when the server closes. */
export async function exchangeRaw(
  port: number,
  bytes: string | Buffer,
  isEnough: (received: string) => boolean,
): Promise<string> {
  const { socket, received } = await dial(port);
  socket.write(bytes, "latin1");
  await new Promise<void>((resolve) => {
    socket.on("data", () => isEnough(received()) && resolve());
    socket.on("close", resolve);
  });
  socket.destroy();
  return received();
}

async function dial(port: number): Promise<{ readonly socket: Socket; received(): string }> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => undefined); // that the server cuts it is one of the answers
  let received = "";
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
  });
  await once(socket, "connect");
  return { socket, received: () => received };
}

export const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
export const frameTypes = { data: 0, headers: 1, rstStream: 3, settings: 4, goaway: 7 } as const;
export const endStream = 1;
export const endHeaders = 4;

/** A frame of HTTP/2 (RFC 9113 §4.1). */
export function frame(type: number, flags: number, stream: number, payload: Buffer | string = ""): Buffer {
  const body = Buffer.from(payload as string, "latin1");
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** The begin of a connection of HTTP/2, and frames. */
export function session(...frames: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from(preface), frame(frameTypes.settings, 0, 0), ...frames]);
}

/** A HEADERS frame, each field a literal (RFC 7541 §6.2.2), so that anything can be written. */
export function headers(fields: readonly Header[], flags: number = endHeaders, stream = 1): Buffer {
  const literals = fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]);
  return frame(frameTypes.headers, flags, stream, Buffer.concat(literals));
}

export function rstStream(code: number, stream = 1): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return frame(frameTypes.rstStream, 0, stream, payload);
}

/** A string of RFC 7541 §5.2, not compressed. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}
