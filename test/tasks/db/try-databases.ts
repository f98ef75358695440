/** The database tasks in a pool of real threads, without a server. */
import type { TestContext } from "node:test";
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary, toJson } from "@bufbuild/protobuf";
import { systemClock } from "../../../src/clock.ts";
import type { JsonValue, Lease } from "../../../src/job/job.ts";
import type { Ended, PoolOptions } from "../../../src/pool/pool.ts";
import { createResourceHost } from "../../../src/pool/resources/host.ts";
import { job, tryPool } from "../../pool/try-pool.ts";
import { keptLog, loadHere } from "../../support/samples.ts";

/** Those of a server by default, more or less. */
const outputBounds = { maxBytes: 4_000_000, maxValues: 20_000 };

export type TriedDatabases = Awaited<ReturnType<typeof tryDatabases>>;

export async function tryDatabases(
  t: TestContext,
  databases: { readonly [name: string]: unknown },
  options: Partial<PoolOptions> = {},
) {
  const loaded = await loadHere(new URL("../../../src/tasks/", import.meta.url), {
    resourceSettings: { databases },
  });
  const tasks = [...loaded.tasks.values()].filter(({ name }) => name.startsWith("db."));
  const { log, lines: hostLines } = keptLog();
  const host = createResourceHost({ resources: loaded.resources, clock: systemClock, log, onChanged() {} });
  const tried = tryPool(t, { tasks, resourceHost: host, outputBounds, graceMs: 10_000, ...options });
  const types = new Map(loaded.tasks);

  /** A job of this task, ready to run. */
  function jobOf<I extends DescMessage>(
    task: string,
    type: I,
    input: MessageInitShape<I>,
    overrides: Partial<Lease> = {},
  ): Lease {
    return job(task, { kind: "message", type: type.typeName, bytes: toBinary(type, create(type, input)) }, overrides);
  }

  /** What the attempt returned, as JSON, or the reason of its failure. */
  function outputOf({ lease, outcome }: Ended): JsonValue {
    if (outcome.kind === "failed") return outcome.failure.reason;
    const output = types.get(lease.task)?.output;
    if (outcome.kind !== "succeeded" || !outcome.output || !output) return outcome.kind;
    return toJson(output, fromBinary(output, outcome.output.bytes));
  }

  return { ...tried, jobOf, outputOf, host, hostLines };
}
