/** Metrics of the process, under the standard names that OpenTelemetry defines for any Node.js process. */
import type { Row } from "./row.ts";

export const processRows = {
  "process.uptime": {
    kind: "gauge",
    unit: "s",
    description: "Time since the server started.",
    advice: "Drops when the server was restarted.",
  },
  "process.cpu.time": {
    kind: "counter",
    unit: "s",
    attributes: ["cpu.mode"],
    description: "CPU time of all threads. `cpu.mode`: `user` or `system`.",
  },
  "process.memory.usage": {
    kind: "gauge",
    unit: "By",
    description: "Resident memory of the process, all threads included.",
  },
  "process.open_fds": {
    kind: "gauge",
    unit: "{file_descriptor}",
    description: "Open files and sockets. On Linux only.",
  },
  "nodejs.eventloop.utilization": {
    kind: "gauge",
    unit: "1",
    description: "Share of the last seconds in which the main thread was busy.",
    advice: "Near 1 the main thread is saturated, even if the workers are not.",
  },
  "nodejs.eventloop.delay.p50": {
    kind: "gauge",
    unit: "s",
    description: "Delay of the main thread's event loop in the last seconds, median.",
  },
  "nodejs.eventloop.delay.p99": {
    kind: "gauge",
    unit: "s",
    description: "The same, 99th percentile.",
    advice: "Above 0.1, one call in a hundred waits that long: take a `millpond profile`, or use a larger machine.",
  },
  "nodejs.eventloop.delay.max": {
    kind: "gauge",
    unit: "s",
    description: "The same, the longest.",
  },
  "v8js.memory.heap.used": {
    kind: "gauge",
    unit: "By",
    attributes: ["v8js.heap.space.name"],
    description: "JavaScript heap of the main thread in use.",
  },
  "v8js.memory.heap.limit": {
    kind: "gauge",
    unit: "By",
    description: "Limit of the main thread's heap; the process ends when it is exceeded.",
  },
  "v8js.gc.duration": {
    kind: "histogram",
    unit: "s",
    attributes: ["v8js.gc.type"],
    description: "Garbage collections of the main thread. `v8js.gc.type`: `minor`, `major`, `incremental` or `weakcb`.",
    bounds: [0.01, 0.1, 1, 10],
  },
} as const satisfies { readonly [name: string]: Row };
