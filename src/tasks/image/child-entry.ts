/** Entry point of the child process of `child-process.ts`: resizes one picture, answers, and waits to be killed. */
import { messageOf } from "../../errors.ts";
import { endWithParent } from "../process/own-process.ts";
import { type Resized, resizePicture, type Step } from "./picture.ts";
import type { Plan } from "./plan.ts";

export type ResizeRequest = { readonly bytes: Uint8Array; readonly plan: Plan; readonly hasSteps: boolean };
export type ResizeMessage = { readonly resized: Resized } | { readonly fault: string } | "encoding";

endWithParent();
process.once("message", ({ bytes, plan, hasSteps }: ResizeRequest) => {
  resizePicture(bytes, plan, hasSteps ? reportStep : undefined).then(
    (resized) => answer({ resized }),
    (error: unknown) => answer({ fault: messageOf(error) }),
  );
});

const reportStep: Step = (name, work) => {
  if (name === "encode") answer("encoding");
  return work();
};

function answer(answered: ResizeMessage): void {
  process.send?.(answered);
}
