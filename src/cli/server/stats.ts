import type {
  ClientSnapshot,
  PercentilesMs,
  PoolSnapshot,
  ResourceSnapshot,
  ServerSnapshot,
  TaskSnapshot,
} from "../../../clients/typescript/index.ts";
import { type Command, jsonFlag } from "../command.ts";
import { clientFlags } from "../connection.ts";
import { age, duration, rate, size } from "../print/format.ts";
import { type Column, column, numbers, table, unlessZero } from "../print/table.ts";
import type { Terminal } from "../print/terminal.ts";
import { printSnapshots, watchFlags } from "./snapshots.ts";

/** Shows the server's statistics, once or repeatedly. */
export const stats: Command = {
  usage: "stats",
  summary: "show pools, tasks and your own jobs",
  notes: "Counts of pools are jobs in the store; counts of tasks and clients are since the server started.",
  flags: [...watchFlags, ...clientFlags, jsonFlag],
  examples: ["millpond stats", "millpond stats --watch --interval 500", "millpond stats --json"],
  run: (invocation) =>
    printSnapshots(invocation, (snapshot) => ({ json: snapshot, lines: statsLines(invocation.terminal, snapshot) })),
};

const poolColumns: readonly Column<PoolSnapshot>[] = [
  column("POOL", ({ pool }) => pool),
  numbers("QUEUED", ({ queued }) => queued, unlessZero("waiting")),
  numbers("BOUND", ({ maxQueued }) => maxQueued),
  numbers("ELIGIBLE", ({ eligible }) => eligible, unlessZero("waiting")),
  numbers("OLDEST", ({ oldestAgeMs }) => age(oldestAgeMs)),
  numbers("RUNNING", ({ running }) => running),
  numbers("SUSPECTS", ({ suspects }) => suspects, unlessZero("bad")),
  numbers("WORKERS", workersCell, (cell) =>
    cell.endsWith(broken) ? "bad" : cell.endsWith(paused) ? "waiting" : undefined,
  ),
  numbers("SUCCEEDED", ({ succeeded }) => succeeded, unlessZero("good")),
  numbers("DEAD", ({ dead }) => dead, unlessZero("bad")),
  numbers("FIRST DIED", ({ oldestDeadAgeMs }) => (oldestDeadAgeMs === 0 ? "-" : `${duration(oldestDeadAgeMs)} ago`)),
  numbers("CANCELLED", ({ cancelled }) => cancelled),
];

const taskColumns: readonly Column<TaskSnapshot>[] = [
  column("TASK", ({ task }) => task),
  numbers("SUCCEEDED", ({ succeeded }) => succeeded, unlessZero("good")),
  numbers("FAILED", ({ failed }) => failed, unlessZero("bad")),
  numbers("RETRIES", ({ retries }) => retries),
  numbers("DEAD", ({ dead }) => dead, unlessZero("bad")),
  numbers("RUNNING", ({ running }) => running),
  numbers("ACCEPTED", ({ acceptedPerSecond }) => rate(acceptedPerSecond)),
  numbers("FINISHED", ({ finishedPerSecond }) => rate(finishedPerSecond)),
  numbers("WAIT P50/P90/P99", ({ queueWaitMs }) => percentiles(queueWaitMs)),
  numbers("RUN P50/P90/P99", ({ executionMs }) => percentiles(executionMs)),
  numbers("IN ALL P50/P90/P99", ({ endToEndMs }) => percentiles(endToEndMs)),
];

/** A snapshot as lines: one for the server, some for the client, then a table of pools and one of tasks. */
export function statsLines(terminal: Terminal, snapshot: ServerSnapshot): string[] {
  const { uptimeMs, store, client, pools, tasks, resources } = snapshot;
  const limit = client.ratePerSecond === 0 ? "no rate limit" : `${rate(client.ratePerSecond)}, burst ${client.burst}`;
  const disk = store.sizeBytes === 0 ? "in memory" : `${size(store.sizeBytes)}, ${size(store.freeBytes)} of it free`;
  return [
    `up ${duration(uptimeMs)}; store ${disk}; client ${client.client}: ${client.accepted} accepted, ${client.refused} refused, ${limit}`,
    ...clientLines(client),
    "",
    ...table(terminal, poolColumns, pools),
    ...resourceLines(terminal, resources),
    ...(tasks.length === 0 ? [] : ["", ...table(terminal, taskColumns, tasks)]),
  ];
}

/** A line for each known part, with the permits in the first. Parts with nothing to show are omitted. */
function resourceLines(terminal: Terminal, resources: readonly ResourceSnapshot[]): string[] {
  const rows = resources.flatMap(({ resource, parts, permits }) =>
    parts.length === 1 && permits.length === 0 && parts[0]?.problem === undefined
      ? []
      : parts.map(({ part, problem, ageMs }, index) => ({
          name: part === "" ? resource : `${resource}.${part}`,
          held: index > 0 ? "" : permits.map((each) => `${each.held}/${each.limit} ${each.permits}`).join(", "),
          waiting: index > 0 ? "" : permits.reduce((sum, { waiting }) => sum + waiting, 0),
          ageMs,
          problem,
        })),
  );
  if (rows.length === 0) return [];
  const columns: readonly Column<(typeof rows)[number]>[] = [
    column("RESOURCE", ({ name }) => name),
    column("HELD", ({ held }) => held),
    numbers("WAITING", ({ waiting }) => waiting, unlessZero("waiting")),
    numbers("FOR", ({ ageMs }) => duration(ageMs)),
    column("HEALTH", ({ problem = well }) => problem, { style: (cell) => (cell === well ? "good" : "bad") }),
  ];
  return ["", ...table(terminal, columns, rows)];
}

const well = "well";

/** Outcomes of the client's jobs, their durations, and reasons of refusals. */
function clientLines(client: ClientSnapshot): string[] {
  const { duplicates, running, succeeded, dead, cancelled, retries, throttledMs, refusedBy } = client;
  const ends = `${succeeded} succeeded, ${dead} dead, ${cancelled} cancelled`;
  const throttled = throttledMs === 0 ? "" : `, throttled for ${duration(throttledMs)}`;
  const reasons = refusedBy.map(({ reason, jobs }) => `${jobs} ${reason}`).join(", ");
  const times = [
    ["wait", client.queueWaitMs],
    ["run", client.executionMs],
    ["in all", client.endToEndMs],
  ] as const;
  return [
    `your jobs: ${running} running, ${ends}, ${retries} retries, ${duplicates} duplicates${throttled}`,
    ...(refusedBy.length === 0 ? [] : [`refused: ${reasons}`]),
    ...(client.endToEndMs.p50 === undefined
      ? []
      : [`p50/p90/p99: ${times.map(([name, ms]) => `${name} ${percentiles(ms)}`).join(", ")}`]),
  ];
}

const broken = " broken";
const paused = " paused";

/** The current number of workers, the target if it differs, and the bounds. */
function workersCell({ workers, target, minWorkers, maxWorkers, isBroken, pause }: PoolSnapshot): string {
  const wanted = target === workers ? "" : ` of ${target}`;
  const bounds = minWorkers === maxWorkers ? "" : ` (${minWorkers}-${maxWorkers})`;
  return `${workers}${wanted}${bounds}${isBroken ? broken : pause ? paused : ""}`;
}

function percentiles({ p50, p90, p99 }: PercentilesMs): string {
  return p50 === undefined ? "-" : [p50, p90, p99].map(duration).join(" / ");
}
