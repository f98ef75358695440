/** Uses a line to the other end of a real socket, as a connection to a database is one. */
import { defineTask } from "../../../../src/pool/task.ts";
import { linesOut } from "../lines-out.ts";

export default defineTask({
  name: "line",
  pool: "tried",
  resources: { lines: linesOut },
  run: (input, { resources: { lines }, signal }) => lines.send(input, signal),
});
