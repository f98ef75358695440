/**
 * The entry of the child process of `child-process.ts`: resizes one picture, answers, and waits to be ended. It ends by itself
 * when its parent is gone, however that died, for then the channel closes; SIGKILL, because an ordinary exit waits for the
 * encoder. Signals to the whole process group, such as Ctrl-C, are the server's: it drains.
 */
import { writeFileSync } from "node:fs";
import { messageOf } from "../../errors.ts";
import { type Resized, resizePicture, type Step } from "./picture.ts";
import type { Plan } from "./plan.ts";

export type Request = { readonly bytes: Uint8Array; readonly plan: Plan; readonly hasSteps: boolean };
export type Answer = { readonly resized: Resized } | { readonly fault: string } | "encoding";

process.once("disconnect", end);
if (!process.connected) end();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"] as const) process.on(signal, () => {});
endFirst();
process.once("message", ({ bytes, plan, hasSteps }: Request) => {
  resizePicture(bytes, plan, hasSteps ? tellStep : undefined).then(
    (resized) => answer({ resized }),
    (error: unknown) => answer({ fault: messageOf(error) }),
  );
});

const tellStep: Step = (name, work) => {
  if (name === "encode") answer("encoding");
  return work();
};

function end(): void {
  process.kill(process.pid, "SIGKILL");
}

function answer(answered: Answer): void {
  process.send?.(answered);
}

/** When Linux runs out of memory, this process goes and the server stays. */
function endFirst(): void {
  if (process.platform !== "linux") return;
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {
    // Not allowed here: then Linux chooses.
  }
}
