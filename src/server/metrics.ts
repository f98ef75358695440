/** Registers metrics of parts that do not know the registry. */
import type { DiskWatermark } from "../engine/admit/disk-watermark.ts";
import { notReadyReasons, type Readiness } from "../engine/upkeep/readiness.ts";
import type { Registry } from "../metrics/registry.ts";
import type { StoreOptions } from "../store/open.ts";
import type { BackgroundLog } from "../telemetry/log.ts";
import type { Tracing } from "../tracing.ts";
import { version } from "../version.ts";

export type Observed = {
  readonly disk: Pick<DiskWatermark, "room">;
  readonly log: Pick<BackgroundLog, "lost">;
  readonly store: "sqlite" | "memory";
  readonly tracing: Pick<Tracing, "numbers">;
  readonly readiness: Pick<Readiness, "reasons">;
};

export function observeServer(registry: Registry, { disk, log, store, tracing, readiness }: Observed): void {
  const info = { version, nodejs_version: process.versions.node, store };
  registry.observed((observe) => {
    observe("millpond.info", 1, info);
    observe("millpond.log.dropped", log.lost());
    const { dropped, droppedContexts } = tracing.numbers();
    observe("millpond.span.dropped", dropped);
    observe("millpond.trace_context.malformed", droppedContexts);
    const reasons = new Set(readiness.reasons().map(({ reason }) => reason));
    for (const reason of notReadyReasons) observe("millpond.not_ready", reasons.has(reason) ? 1 : 0, { reason });
    const room = disk.room();
    if (!room) return;
    observe("millpond.disk.free", room.freeBytes);
    observe("millpond.disk.least", room.leastBytes);
  });
}

export function countCommits(registry: Registry): NonNullable<StoreOptions["onCommit"]> {
  return ({ tookMs, calls }) => {
    registry.histogram("millpond.store.commit.duration").record(tookMs / 1000);
    registry.histogram("millpond.store.commit.size").record(calls);
  };
}
