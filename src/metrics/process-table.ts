/** Metrics of the process, under the standard names that OpenTelemetry defines for any Node.js process. */
import { counter, gauge, histogram, none, type Row } from "./row.ts";

export const processRows = {
  "process.uptime": gauge("s", none, {
    description: "Time since the server started.",
    advice: "Drops when the server was restarted.",
  }),
  "process.cpu.time": counter("s", ["cpu.mode"], {
    description: "CPU time of all threads. `cpu.mode`: `user` or `system`.",
  }),
  "process.memory.usage": gauge("By", none, { description: "Resident memory of the process, all threads included." }),
  "process.open_fds": gauge("{file_descriptor}", none, { description: "Open files and sockets. On Linux only." }),
  "nodejs.eventloop.utilization": gauge("1", none, {
    description: "Share of the last seconds in which the main thread was busy.",
    advice: "Near 1 the main thread is saturated, even if the workers are not.",
  }),
  "nodejs.eventloop.delay.p50": gauge("s", none, {
    description: "Delay of the main thread's event loop in the last seconds, median.",
  }),
  "nodejs.eventloop.delay.p99": gauge("s", none, {
    description: "The same, 99th percentile.",
    advice: "Above 0.1, one call in a hundred waits that long: take a `millpond profile`, or use a larger machine.",
  }),
  "nodejs.eventloop.delay.max": gauge("s", none, { description: "The same, the longest." }),
  "v8js.memory.heap.used": gauge("By", ["v8js.heap.space.name"], {
    description: "JavaScript heap of the main thread in use.",
  }),
  "v8js.memory.heap.limit": gauge("By", none, {
    description: "Limit of the main thread's heap; the process ends when it is exceeded.",
  }),
  "v8js.gc.duration": histogram("s", ["v8js.gc.type"], {
    description: "Garbage collections of the main thread. `v8js.gc.type`: `minor`, `major`, `incremental` or `weakcb`.",
    bounds: [0.01, 0.1, 1, 10],
  }),
} as const satisfies { readonly [name: string]: Row };
