/**
 * Counts the requests of the HTTP port in the budget, where their bodies are iterated: Node resumes paused streams of
 * HTTP/2 behind its compatible requests, but what is not iterated is not read, on either version of HTTP.
 */
import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { cutStream } from "./cut-stream.ts";
import { refusal } from "../../errors.ts";
import { isEnveloped } from "../envelopes.ts";
import { createSignal, type Signal } from "../../lifecycle.ts";
import { createEnvelopes, createWholeBody, type Framing } from "./framing.ts";
import type { RequestBudget } from "./request-budget.ts";

/** A window of HTTP/2, and the buffers of its stream and of the request. */
const pausedBytes = 192 * 1024;

export type HttpRequest = IncomingMessage | Http2ServerRequest;

export type CountOptions = {
  readonly budget: RequestBudget;
  readonly messageBytes: number;
  /** Whether the method's requests are a stream. */
  readonly isStream: boolean;
};

/** The same bytes, counted, and held back while the budget has no room for them. */
export async function* counted(
  request: HttpRequest,
  chunks: AsyncIterable<Uint8Array>,
  { budget, messageBytes, isStream }: CountOptions,
): AsyncGenerator<Uint8Array> {
  let paused: Signal | undefined;
  let isCut = false;
  const body = budget.open({
    connection: "stream" in request ? (request.stream.session ?? request) : request.socket,
    framing: framingOf(request, messageBytes),
    handsOver: isStream ? "complete" : "end",
    pausedBytes,
    pause() {
      paused ??= createSignal();
    },
    resume() {
      paused?.fire();
      paused = undefined;
    },
    cut() {
      isCut = true;
      if ("stream" in request) cutStream(request.stream);
      else request.socket.destroy();
    },
  });
  request.once("close", body.end);
  try {
    for await (const chunk of chunks) {
      body.received(chunk);
      await paused?.promise; // before it is passed on: its reader may allocate all of a message that has begun
      if (isCut) throw refusal("cancelled", []);
      yield chunk;
    }
  } finally {
    body.end();
  }
}

function framingOf({ headers }: HttpRequest, messageBytes: number): Framing {
  if (isEnveloped(headers["content-type"] ?? "")) return createEnvelopes(messageBytes);
  const length = Number(headers["content-length"]);
  return createWholeBody({
    messageBytes,
    length: Number.isSafeInteger(length) ? length : undefined,
    isCompressed: (headers["content-encoding"] ?? "identity") !== "identity",
  });
}
