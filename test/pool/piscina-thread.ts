/** What threads of piscina.test.ts run: it gives their number, or never ends. */
import { threadId } from "node:worker_threads";

const forever = 2 ** 30;

export default (how: string | null) =>
  how === "wait" ? new Promise(() => setInterval(() => undefined, forever)) : threadId;
