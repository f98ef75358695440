/**
 * Resizes a picture in a process of its own. Native code cannot be stopped in a thread: sharp's `timeout` has no effect
 * for AVIF, and the encoder keeps running when its thread ends. A process can be killed, which frees all its memory,
 * and the server survives if a decoder crashes. It costs about 80 ms and 64 MiB, so it is used for slow work only.
 */
import { systemClock } from "../../clock.ts";
import { TaskError } from "../../pool/task.ts";
import { forkBeside } from "../process/fork.ts";
import type { ResizeMessage, ResizeRequest } from "./child-entry.ts";
import { timedOut } from "./cost.ts";
import type { Resized, Step } from "./picture.ts";
import type { Plan } from "./plan.ts";

export type Bounds = { readonly signal: AbortSignal; readonly timeoutMs: number };

/**
 * Runs `resizePicture` in the process. `step` is called here, for as long as each step takes there. Rejects with the
 * signal's reason, with `resize_timed_out`, with `image_process_lost` when the process dies, or with the decoder's
 * error. The process has ended before this settles, so each caller has at most one process.
 */
export async function resizeInChild(bytes: Uint8Array, plan: Plan, bounds: Bounds, step?: Step): Promise<Resized> {
  const encoding = Promise.withResolvers<void>();
  const request = { bytes, plan, hasSteps: step !== undefined };
  if (!step) return runChild(request, bounds, encoding.resolve);
  const { resized } = await step("decode", async () => {
    const resized = runChild(request, bounds, encoding.resolve);
    await Promise.race([encoding.promise, resized]);
    return { resized };
  });
  return step("encode", () => resized);
}

async function runChild(
  request: ResizeRequest,
  { signal, timeoutMs }: Bounds,
  onEncoding: () => void,
): Promise<Resized> {
  signal.throwIfAborted();
  const child = forkBeside(import.meta.url, "child-entry");
  const { promise, resolve, reject } = Promise.withResolvers<Resized>();
  const ended = Promise.withResolvers<void>();
  const onAbort = () => reject(signal.reason as Error);
  signal.addEventListener("abort", onAbort, { once: true });
  const cancelTimer = systemClock.after(timeoutMs, () => reject(timedOut()));
  child.on("message", (answer: ResizeMessage) => {
    if (answer === "encoding") onEncoding();
    else if ("fault" in answer) reject(new Error(answer.fault));
    else resolve(answer.resized);
  });
  child.once("exit", (code, killedBy) => {
    reject(lost(killedBy ?? `exit code ${code}`));
    ended.resolve();
  });
  child.on("error", ({ code }: NodeJS.ErrnoException) => {
    reject(lost(code ?? "unknown error"));
    if (child.pid === undefined) ended.resolve(); // it never started
  });
  try {
    if (child.pid !== undefined) child.send(request, () => {}); // if the process has ended, "exit" is emitted
    return await promise;
  } finally {
    cancelTimer();
    signal.removeEventListener("abort", onAbort);
    child.kill("SIGKILL");
    await ended.promise;
  }
}

function lost(why: string): TaskError {
  return new TaskError("image_process_lost", `the process for the picture ended or did not start: ${why}`);
}
