/** A server in a process of its own, which measures how long its main thread is busy without a break. */
import { openServer } from "../fixtures.ts";

/** What the process is asked for, and what it answers. */
export type Asked = "begin" | "longest" | "stop";
export type Told =
  | { readonly kind: "serving"; readonly grpcAddress: string; readonly httpAddress: string }
  | { readonly kind: "begun" }
  /** CPU time of the main thread, so that others on the machine do not count. */
  | { readonly kind: "longest"; readonly cpuMs: number };

const tell = (told: Told) => void process.send?.(told);

const server = await openServer();
let longest = 0;
let last = 0;
let isMeasuring = false;

/** From one of these to the next the event loop goes round once. */
function turn(): void {
  if (!isMeasuring) return;
  const now = cpuMs();
  longest = Math.max(longest, now - last);
  last = now;
  setImmediate(turn);
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

process.on("message", (asked: Asked) => {
  switch (asked) {
    case "begin":
      longest = 0;
      last = cpuMs();
      isMeasuring = true;
      setImmediate(turn);
      return tell({ kind: "begun" });
    case "longest":
      isMeasuring = false;
      return tell({ kind: "longest", cpuMs: longest });
    case "stop":
      return void server.remove().then(() => process.disconnect?.());
  }
});
tell({ kind: "serving", grpcAddress: server.grpcAddress, httpAddress: server.httpAddress });
