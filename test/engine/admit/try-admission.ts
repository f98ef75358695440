/** An admission on a memory store, with everything a test may want to turn. */
import { type AdmissionParts, type Admitted, createAdmission } from "../../../src/engine/admit/admission.ts";
import { createBacklog } from "../../../src/engine/admit/backlog.ts";
import { noDiskWatermark } from "../../../src/engine/admit/disk-watermark.ts";
import type { Draft } from "../../../src/engine/admit/draft.ts";
import { createRateLimit, type Rates } from "../../../src/engine/admit/rate-limit.ts";
import { createStats } from "../../../src/engine/watch/stats.ts";
import { MillpondError } from "../../../src/errors.ts";
import { SleepInputSchema } from "../../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { newId } from "../../../src/job/id.ts";
import { createRegistry } from "../../../src/metrics/registry.ts";
import type { Tasks } from "../../../src/pool/tasks.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { loaded, noChecks, untraced } from "../../support/samples.ts";

export const unlimited: Rates = { perSecond: 0, burst: 1, clients: {} };

const echo = loaded("echo");
const sleep = { ...loaded("sleep", { input: SleepInputSchema }), pool: "io", retry: { ...echo.retry, maxAttempts: 7 } };

export function tryAdmission({
  rates = unlimited,
  maxQueued = 10,
  ...overrides
}: Partial<AdmissionParts> & { rates?: Rates; maxQueued?: number } = {}) {
  const clock = createFakeClock();
  const store = createMemoryStore();
  const limits = new Map([
    ["cpu", maxQueued],
    ["io", maxQueued],
  ]);
  const backlog = createBacklog(store, limits);
  const stats = createStats(clock, createRegistry(clock));
  const hinted: string[] = [];
  store.subscribe({ due: (pool) => void hinted.push(pool), results() {}, jobs() {}, overrides() {} });
  const tasks: Tasks = new Map([
    ["echo", echo],
    ["sleep", sleep],
  ]);
  const admission = createAdmission({
    tasks: () => tasks,
    checks: noChecks,
    store,
    backlog,
    rateLimit: createRateLimit(rates, clock),
    stats,
    disk: noDiskWatermark,
    tracing: untraced,
    clock,
    limits: { jobsPerSubmit: 20, inputBytes: 100 },
    newId: () => newId(clock.now()),
    onSubmitted() {},
    ...overrides,
  });
  return { admission, clock, store, backlog, stats, hinted };
}

export function draft(overrides: Partial<Draft> = {}): Draft {
  return {
    id: "",
    task: "echo",
    channel: "",
    input: { kind: "json", value: 1 },
    idempotencyKey: "",
    priority: 0,
    start: null,
    expiresAt: null,
    timeoutMs: null,
    retry: {},
    labels: {},
    memo: "",
    discardResult: false,
    trace: null,
    ...overrides,
  };
}

export function drafts(count: number, overrides: Partial<Draft> = {}): Draft[] {
  return Array.from({ length: count }, () => draft(overrides));
}

/** `accepted`, `duplicate`, or the reason of the refusal. */
export function shown(admitted: Admitted): string {
  return admitted.kind === "refused" ? admitted.error.reason : admitted.kind;
}

/** The error that a call fails with. */
export async function refusalOf(call: Promise<unknown>): Promise<MillpondError> {
  const error = await call.then(
    () => new Error("it was not refused"),
    (reason: unknown) => reason,
  );
  if (error instanceof MillpondError) return error;
  throw error;
}
