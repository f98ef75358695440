/**
 * Asks a thread whose event loop is blocked which job's code it runs. The inspector interrupts JavaScript where it is, also in
 * an endless loop, and the AsyncLocalStorage of faults.ts holds there who started it: so it costs nothing until it is
 * asked. A thread inside a native call does not answer.
 */
import { Session, url } from "node:inspector";
import { createSignal } from "../lifecycle.ts";
import type { Clock } from "../clock.ts";
import { type Origin, originKey } from "./faults.ts";

export type RunningCode = {
  /** Null: no job's. */
  readonly origin: Origin | null;
  /** The innermost functions of users' code, each with its file and line. */
  readonly stack: readonly string[];
};

type Answer = { readonly result?: { readonly result?: { readonly value?: { origin: Origin | null; stack: string } } } };

const maxFrames = 3;
const key = JSON.stringify(originKey);
const expression = `({ origin: globalThis[Symbol.for(${key})]?.() ?? null, stack: String(new Error().stack) })`;
const message = JSON.stringify({ id: 1, method: "Runtime.evaluate", params: { expression, returnByValue: true } });

/** Undefined: it did not answer within `limitMs`. */
export async function whoseCode(threadId: number, clock: Clock, limitMs: number): Promise<RunningCode | undefined> {
  const answered = createSignal<RunningCode | undefined>();
  const cancel = clock.after(limitMs, () => answered.fire(undefined));
  const session = new Session();
  session.connect();
  session.on("NodeWorker.attachedToWorker", ({ params: { sessionId, workerInfo } }) => {
    if (!workerInfo.title.startsWith(`[worker ${threadId}]`)) return; // its `workerId` is another number
    session.post("NodeWorker.sendMessageToWorker", { sessionId, message });
  });
  session.on("NodeWorker.receivedMessageFromWorker", ({ params }) => {
    const value = (JSON.parse(params.message) as Answer).result?.result?.value;
    answered.fire(value && { origin: value.origin, stack: framesOf(value.stack) });
  });
  session.post("NodeWorker.enable", { waitForDebuggerOnStart: false });
  const code = await answered.promise;
  cancel();
  session.disconnect();
  return code;
}

/** Whether a debugger can be at work. */
export function isDebugged(): boolean {
  return url() !== undefined;
}

/** Without the frames of what asks, and of Node. */
function framesOf(stack: string): readonly string[] {
  const frames = stack.split("\n").map((line) => line.trim().replace(/^at /, ""));
  return frames.filter((frame) => /\w:\d+:\d+\)?$/.test(frame) && !/<anonymous>|node:/.test(frame)).slice(0, maxFrames);
}
