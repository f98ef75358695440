/** Outputs of any size from small inputs. */
import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({
  name: "blob",
  pool: "cpu",
  description: "Returns as many bytes, or numbers in a list, as its input says.",
  run(input) {
    const { bytes = 0, values } = input as { readonly bytes?: number; readonly values?: number };
    return values === undefined ? new Uint8Array(bytes).fill(7) : Array<number>(values).fill(7);
  },
});
