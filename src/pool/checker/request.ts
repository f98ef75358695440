/** Inputs on their way to the checker thread, packed into one buffer: as objects with a buffer each they cost far more. */
import type { CheckInput } from "./checks.ts";
import type { CheckRequest } from "./protocol.ts";

export function requestOf(number: number, inputs: readonly CheckInput[]): CheckRequest {
  const size = inputs.reduce((total, { input }) => total + (input?.bytes.length ?? 0), 0);
  const bytes = new Uint8Array(size);
  let end = 0;
  const packed = inputs.map(({ task, input }): CheckRequest["inputs"][number] => {
    if (input) bytes.set(input.bytes, end);
    end += input?.bytes.length ?? 0;
    return [task, input?.kind ?? null, end];
  });
  return { number, inputs: packed, bytes };
}
