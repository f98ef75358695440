/**
 * Counts the requests of the HTTP port in the budget while their bodies are iterated: a body that is not iterated is
 * not read from the socket.
 */
import type { IncomingMessage } from "node:http";
import { refusal } from "../../errors.ts";
import { isEnveloped } from "../envelopes.ts";
import { createSignal, type Signal } from "../../lifecycle.ts";
import { createEnvelopes, createWholeBody, type Framing } from "./framing.ts";
import type { RequestBudget } from "./request-budget.ts";

/** Buffers of the kernel, the connection and the request together. */
const pausedBytes = 192 * 1024;

export type CountOptions = { readonly budget: RequestBudget; readonly messageBytes: number };

/** Yields and counts the bytes of the request; waits while the budget has no room for them. */
export async function* counted(
  request: IncomingMessage,
  { budget, messageBytes }: CountOptions,
): AsyncGenerator<Uint8Array> {
  let paused: Signal | undefined;
  let isCut = false;
  const body = budget.open({
    connection: request.socket,
    framing: framingOf(request, messageBytes),
    handsOver: "end",
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
      request.socket.destroy();
    },
  });
  request.once("close", body.end);
  try {
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      body.received(chunk);
      await paused?.promise; // before the chunk is yielded, because its reader keeps it
      if (isCut) throw refusal("cancelled", []);
      yield chunk;
    }
  } finally {
    body.end();
  }
}

function framingOf({ headers }: IncomingMessage, messageBytes: number): Framing {
  if (isEnveloped(headers["content-type"] ?? "")) return createEnvelopes(messageBytes);
  const length = Number(headers["content-length"]);
  return createWholeBody({
    messageBytes,
    length: Number.isSafeInteger(length) ? length : undefined,
    isCompressed: (headers["content-encoding"] ?? "identity") !== "identity",
  });
}
