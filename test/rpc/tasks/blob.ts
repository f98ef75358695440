/** Outputs of any size from small inputs. */
import { defineTask } from "../../../src/pool/task.ts";

export default defineTask({
  name: "blob",
  pool: "cpu",
  description: "Returns as many bytes as its input says.",
  run: (input) => new Uint8Array((input as { readonly bytes: number }).bytes).fill(7),
});
