/** Metrics of the process: CPU, memory, files, and the utilization and delay of the main thread's event loop. */
import { readdir } from "node:fs/promises";
import {
  type EventLoopUtilization,
  monitorEventLoopDelay,
  performance,
  type PerformanceEntry,
  PerformanceObserver,
} from "node:perf_hooks";
import { getHeapSpaceStatistics, getHeapStatistics } from "node:v8";
import type { Clock } from "../clock.ts";
import type { Service } from "../lifecycle.ts";
import type { Registry } from "../metrics/registry.ts";

/** Shortest window over which the loop is measured, so that two readers do not reset each other's figures. */
const windowMs = 5_000;
const delayResolutionMs = 20;
const nanosPerSecond = 1e9;

/** Names for `detail.kind` of a garbage collection entry. */
const collections: { readonly [kind: number]: string } = { 1: "minor", 4: "major", 8: "incremental", 16: "weakcb" };

type Collection = PerformanceEntry & { readonly detail: { readonly kind: number } };
type LoopNumbers = { readonly utilization: number; readonly p50: number; readonly p99: number; readonly max: number };

/** Updates the registry from `start` to `stop`. */
export function createProcessMetrics(registry: Registry, clock: Clock): Service {
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
  const startedAtMs = clock.monotonicMs();
  let windowStartMs = startedAtMs;
  let utilization: EventLoopUtilization = performance.eventLoopUtilization();
  let loop: LoopNumbers | undefined;
  let isRunning = false;

  const collector = new PerformanceObserver((entries) => {
    for (const entry of entries.getEntries()) {
      const { duration, detail } = entry as Collection;
      const type = collections[detail.kind] ?? "other";
      registry.histogram("v8js.gc.duration", { "v8js.gc.type": type }).record(duration / 1000);
    }
  });

  function readLoop(): LoopNumbers {
    const now = clock.monotonicMs();
    if (loop && now - windowStartMs < windowMs) return loop;
    windowStartMs = now;
    const present = performance.eventLoopUtilization();
    // the histogram measures from one timer to the next; what exceeds the timer's interval is the delay
    const late = (nanos: number) => Math.max(nanos / nanosPerSecond - delayResolutionMs / 1000, 0);
    const isEmpty = delay.count === 0;
    loop = {
      utilization: performance.eventLoopUtilization(present, utilization).utilization,
      p50: isEmpty ? 0 : late(delay.percentile(50)),
      p99: isEmpty ? 0 : late(delay.percentile(99)),
      max: isEmpty ? 0 : late(delay.max),
    };
    utilization = present;
    delay.reset();
    return loop;
  }

  registry.observed((observe) => {
    if (!isRunning) return;
    const { user, system } = process.cpuUsage();
    observe("process.uptime", (clock.monotonicMs() - startedAtMs) / 1000);
    observe("process.cpu.time", user / 1e6, userMode);
    observe("process.cpu.time", system / 1e6, systemMode);
    observe("process.memory.usage", process.memoryUsage.rss());
    observe("v8js.memory.heap.limit", getHeapStatistics().heap_size_limit);
    for (const { space_name: name, space_used_size: used } of getHeapSpaceStatistics()) {
      observe("v8js.memory.heap.used", used, { "v8js.heap.space.name": name });
    }
    const { utilization: busy, p50, p99, max } = readLoop();
    observe("nodejs.eventloop.utilization", busy);
    observe("nodejs.eventloop.delay.p50", p50);
    observe("nodejs.eventloop.delay.p99", p99);
    observe("nodejs.eventloop.delay.max", max);
  });
  registry.observed(async (observe) => {
    if (!isRunning || process.platform !== "linux") return;
    const files = await readdir("/proc/self/fd");
    observe("process.open_fds", files.length);
  });

  return {
    name: "process metrics",
    async start() {
      isRunning = true;
      delay.enable();
      collector.observe({ entryTypes: ["gc"] });
    },
    async stop() {
      isRunning = false;
      delay.disable();
      collector.disconnect();
    },
  };
}

const userMode = { "cpu.mode": "user" };
const systemMode = { "cpu.mode": "system" };
