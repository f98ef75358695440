/** Sends its input over the thread's line and returns the answer, or does what it says with the line open. */
import { defineTask } from "../../../../src/pool/task.ts";
import { linesOut } from "../lines-out.ts";

export default defineTask({
  name: "line",
  pool: "tried",
  resources: { lines: linesOut },
  async run(input, { resources: { lines }, signal }) {
    const answer = await lines.send(input, signal);
    if (input === "exit") process.exit();
    if (input === "block") for (;;);
    return answer;
  },
});
