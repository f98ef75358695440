import type {
  ClientSnapshot,
  PercentilesMs,
  PoolSnapshot,
  ResourceSnapshot,
  ServerSnapshot,
} from "../../../clients/typescript/index.ts";
import { type Command, integerOf, type Invocation, isOn, jsonFlag } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { duration, rate, size } from "../print/format.ts";
import { type Style, table, type Terminal } from "../print/terminal.ts";

/** Shows the server's statistics, once or repeatedly. */
export const stats: Command = {
  usage: "stats",
  summary: "show pools, tasks and your own jobs",
  notes: "Counts of pools are jobs in the store; counts of tasks and clients are since the server started.",
  flags: [
    { usage: "--watch", doc: "repeat until interrupted" },
    { usage: "--interval <ms>", doc: "interval of --watch, 100 to 60000 (default: 1000)" },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond stats", "millpond stats --watch --interval 500", "millpond stats --json"],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const { flags } = invocation;
      const intervalMs = integerOf(flags, "--interval", { min: 100, max: 60_000, fallback: 1000 });
      if (!isOn(flags, "--watch")) {
        show(invocation, await client.stats());
        return 0;
      }
      for await (const snapshot of client.watchStats({ intervalMs })) {
        invocation.terminal.clear();
        show(invocation, snapshot);
      }
      return 0;
    }),
};

function show({ flags, terminal }: Invocation, snapshot: ServerSnapshot): void {
  if (isOn(flags, "--json")) terminal.print(JSON.stringify(snapshot));
  else for (const line of statsLines(terminal, snapshot)) terminal.print(line);
}

const when = (style: Style) => (cell: string) => (cell === "0" ? undefined : style);

/** A snapshot as lines: one for the server, some for the client, then a table of pools and one of tasks. */
export function statsLines(terminal: Terminal, snapshot: ServerSnapshot): string[] {
  const { uptimeMs, store, client, pools, tasks, resources } = snapshot;
  const limit = client.ratePerSecond === 0 ? "no rate limit" : `${rate(client.ratePerSecond)}, burst ${client.burst}`;
  const disk = store.sizeBytes === 0 ? "in memory" : `${size(store.sizeBytes)}, ${size(store.freeBytes)} of it free`;
  const lines = [
    `up ${duration(uptimeMs)}; store ${disk}; client ${client.client}: ${client.accepted} accepted, ${client.refused} refused, ${limit}`,
    ...clientLines(client),
    "",
    ...table(
      terminal,
      [
        { title: "POOL" },
        { title: "QUEUED", align: "right", style: when("waiting") },
        { title: "BOUND", align: "right" },
        { title: "ELIGIBLE", align: "right", style: when("waiting") },
        { title: "OLDEST", align: "right" },
        { title: "RUNNING", align: "right" },
        { title: "SUSPECTS", align: "right", style: when("bad") },
        {
          title: "WORKERS",
          align: "right",
          style: (cell) => (cell.endsWith(broken) ? "bad" : cell.endsWith(paused) ? "waiting" : undefined),
        },
        { title: "SUCCEEDED", align: "right", style: when("good") },
        { title: "DEAD", align: "right", style: when("bad") },
        { title: "FIRST DIED", align: "right" },
        { title: "CANCELLED", align: "right" },
      ],
      pools.map((pool) => [
        pool.pool,
        String(pool.queued),
        String(pool.maxQueued),
        String(pool.eligible),
        pool.oldestAgeMs === 0 ? "-" : duration(pool.oldestAgeMs),
        String(pool.running),
        String(pool.suspects),
        workersCell(pool),
        String(pool.succeeded),
        String(pool.dead),
        pool.oldestDeadAgeMs === 0 ? "-" : `${duration(pool.oldestDeadAgeMs)} ago`,
        String(pool.cancelled),
      ]),
    ),
    ...resourceLines(terminal, resources),
  ];
  if (tasks.length === 0) return lines;
  return [
    ...lines,
    "",
    ...table(
      terminal,
      [
        { title: "TASK" },
        { title: "SUCCEEDED", align: "right", style: when("good") },
        { title: "FAILED", align: "right", style: when("bad") },
        { title: "RETRIES", align: "right" },
        { title: "DEAD", align: "right", style: when("bad") },
        { title: "RUNNING", align: "right" },
        { title: "ACCEPTED", align: "right" },
        { title: "FINISHED", align: "right" },
        { title: "WAIT P50/P90/P99", align: "right" },
        { title: "RUN P50/P90/P99", align: "right" },
        { title: "IN ALL P50/P90/P99", align: "right" },
      ],
      tasks.map((task) => [
        task.task,
        String(task.succeeded),
        String(task.failed),
        String(task.retries),
        String(task.dead),
        String(task.running),
        rate(task.acceptedPerSecond),
        rate(task.finishedPerSecond),
        percentiles(task.queueWaitMs),
        percentiles(task.executionMs),
        percentiles(task.endToEndMs),
      ]),
    ),
  ];
}

/** A line for each known part, with the permits in the first. Parts with nothing to show are omitted. */
function resourceLines(terminal: Terminal, resources: readonly ResourceSnapshot[]): string[] {
  const rows = resources.flatMap(({ resource, parts, permits }) =>
    parts.length === 1 && permits.length === 0 && parts[0]?.problem === undefined
      ? []
      : parts.map(({ part, problem, ageMs }, index) => [
          part === "" ? resource : `${resource}.${part}`,
          index > 0 ? "" : permits.map((each) => `${each.held}/${each.limit} ${each.permits}`).join(", "),
          index > 0 ? "" : String(permits.reduce((sum, { waiting }) => sum + waiting, 0)),
          duration(ageMs),
          problem ?? well,
        ]),
  );
  if (rows.length === 0) return [];
  const columns = [
    { title: "RESOURCE" },
    { title: "HELD" },
    { title: "WAITING", align: "right", style: when("waiting") },
    { title: "FOR", align: "right" },
    { title: "HEALTH", style: (cell: string) => (cell === well ? "good" : "bad") },
  ] as const;
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
