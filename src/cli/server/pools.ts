/** `millpond pools`: shows pools, and changes them while the server runs. */
import type {
  AdviceInfo,
  MillpondClient,
  MillpondClientError,
  PauseInfo,
  PoolSnapshot,
  SizingInfo,
  WorkerBounds,
} from "../../../clients/typescript/index.ts";
import { mostWorkers } from "../../config/rules.ts";
import { type Command, integerOf, isOn, jsonFlag, printAnswer, UsageError } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { age, duration, moment } from "../print/format.ts";
import { type Column, column, numbers, table, unlessZero } from "../print/table.ts";
import type { Terminal } from "../print/terminal.ts";
import { durationOf } from "../times.ts";
import { printSnapshots, watchFlags } from "./snapshots.ts";

/** Shows the pools, once or repeatedly. */
export const poolsList: Command = {
  usage: "pools list",
  summary: "show the pools: their workers, jobs, and whether they are paused",
  notes:
    "TARGET is the number of workers that the autoscaler wants, BUSY those that run a job. ELIGIBLE jobs could run now, counted up " +
    "to 10,000; QUEUED also includes jobs that are not due yet, and those of a paused pool.",
  flags: [...watchFlags, ...clientFlags, jsonFlag],
  examples: ["millpond pools list", "millpond pools --watch --interval 200", "millpond pools list --json"],
  run: (invocation) =>
    printSnapshots(invocation, ({ pools }) => ({ json: pools, lines: poolLines(invocation.terminal, pools) })),
};

const bareWait = "30s";

export const poolsPause: Command = {
  usage: "pools pause <name>",
  summary: "start no more jobs of a pool until it is resumed",
  notes:
    "Jobs are still accepted and wait, running ones finish, and leased ones that have not started return to the queue. The pause " +
    "applies to every server that shares the store, and survives a restart. With --wait the exit code is 1 when jobs still run " +
    "after the wait.",
  flags: [
    {
      usage: "--wait [duration]",
      doc: `wait until no job of the pool runs, at most 24h (without a value: ${bareWait})`,
      bare: bareWait,
    },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond pools pause mail", "millpond pools pause mail --wait 5m"],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const { args, flags } = invocation;
      const pool = args[0] as string;
      const waitMs = durationOf(flags, "--wait", { min: "0s", max: "24h" });
      const paused = await client.pausePool(pool);
      const running = await waitUntilIdle(client, { pool, waitMs: waitMs ?? 0, running: paused.running });
      const { changed, pause, queued } = paused;
      const how = changed ? "is paused" : `was already paused ${byWhom(pause)}`;
      printAnswer(invocation, { ...paused, running }, [`pool ${pool} ${how}: ${running} running, ${queued} queued`]);
      return waitMs !== undefined && running > 0 ? 1 : 0;
    }),
};

export const poolsResume: Command = {
  usage: "pools resume <name>",
  summary: "start the jobs of a paused pool again",
  flags: [...clientFlags, jsonFlag],
  examples: ["millpond pools resume mail"],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const pool = invocation.args[0] as string;
      const resumed = await client.resumePool(pool);
      const { pause, queued } = resumed;
      const how = pause ? `is resumed; it was paused ${byWhom(pause)}` : "was not paused";
      return printAnswer(invocation, resumed, [`pool ${pool} ${how}: ${queued} queued`]);
    }),
};

export const poolsResize: Command = {
  usage: "pools resize <name>",
  summary: "change how many workers a pool may have",
  notes:
    "The bounds apply to each server that shares the store, and survive a restart. They replace those of the configuration " +
    "until --reset. Running jobs finish. How many jobs one worker runs at once (concurrency) can only be set in the configuration.",
  flags: [
    { usage: "--min <workers>", doc: `workers that are kept when idle, 0 to ${mostWorkers} (default: unchanged)` },
    { usage: "--max <workers>", doc: `most workers of the pool, 1 to ${mostWorkers} (default: unchanged)` },
    { usage: "--reset", doc: "restore the bounds of the configuration" },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond pools resize mail --min 2 --max 16", "millpond pools resize mail --reset"],
  run: async (invocation) => {
    const { args, flags } = invocation;
    const pool = args[0] as string;
    const min = integerOf(flags, "--min", { min: 0, max: mostWorkers, fallback: undefined });
    const max = integerOf(flags, "--max", { min: 1, max: mostWorkers, fallback: undefined });
    const isReset = isOn(flags, "--reset");
    const isGiven = min !== undefined || max !== undefined;
    if (isReset === isGiven) throw new UsageError("give --min or --max or both, or only --reset");
    if (min !== undefined && max !== undefined && min > max)
      throw new UsageError(`--min is ${min} and --max is ${max}: --min must be at most --max`);
    const bounds = isReset ? "configured" : { ...(min !== undefined && { min }), ...(max !== undefined && { max }) };
    return withClient(invocation, async (client) => {
      const resized = await client.resizePool(pool, bounds).catch(throwWithFlags);
      const { changed, previous, resize } = resized;
      const before = changed ? `, before ${boundsText(previous)}` : " as before";
      const origin = resize ? `; the configuration has ${boundsText(resize.configured)}` : ", as configured";
      const workers = `${boundsText(resized)} ${resized.max === 1 ? "worker" : "workers"}`;
      return printAnswer(invocation, resized, [`pool ${pool} has ${workers}${before}${origin}`]);
    });
  },
};

/** Names the flags in place of the fields of the request. */
function throwWithFlags(error: unknown): never {
  const { violations = [] } = error as Partial<MillpondClientError>;
  const wrong = violations.find(({ field }) => /^(min|max)_workers$/.test(field));
  if (!wrong) throw error;
  throw new UsageError(`${wrong.field} ${wrong.description}`.replace(/\b(min|max)_workers\b/g, "--$1"));
}

export const poolsAdvise: Command = {
  usage: "pools advise",
  summary: "recommend a size for each pool, with the reasons",
  notes:
    "Based on measurements of the last hour; changes nothing. Apply min and max with `pools resize`, and work and " +
    "concurrency in the configuration. docs/sizing.md explains the rules.",
  flags: [...clientFlags, jsonFlag],
  examples: ["millpond pools advise"],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const pools = await client.advisePools();
      return printAnswer(invocation, pools, pools.flatMap(adviceLines));
    }),
};

function adviceLines(advice: AdviceInfo): string[] {
  const { pool, current, advised, attempts, observedMs, busyShare, cpuShare, peakRunning, why } = advice;
  const [now, then] = [current, advised].map(sizingText);
  const cpu = cpuShare === undefined ? "" : `, jobs use a processor for ${percent(cpuShare)} of theirs`;
  return [
    `${pool}: ${now}${now === then ? "" : ` -> ${then}`}`,
    `  measured for ${duration(observedMs)}: ${attempts} attempts, at most ${peakRunning} at once, workers busy for ${percent(busyShare)} of their time${cpu}`,
    ...why.map((sentence) => `  ${sentence}`),
  ];
}

function sizingText({ work, min, max, concurrency }: SizingInfo): string {
  return `work ${work}, min ${min}, max ${max}, concurrency ${concurrency}`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function boundsText({ min, max }: WorkerBounds): string {
  return min === max ? String(max) : `${min}-${max}`;
}

type IdleWait = { readonly pool: string; readonly waitMs: number; readonly running: number };

/** Resolves with the last known number of running jobs, once it is 0 or the time is over. */
async function waitUntilIdle(client: MillpondClient, { pool, waitMs, running }: IdleWait): Promise<number> {
  if (running === 0 || waitMs === 0) return running;
  let latest = running;
  const signal = AbortSignal.timeout(waitMs);
  for await (const { pools } of client.watchStats({ intervalMs: 200, signal })) {
    latest = pools.find((each) => each.pool === pool)?.running ?? latest;
    if (latest === 0) break;
  }
  return latest;
}

function byWhom({ by, at }: PauseInfo): string {
  return `by ${by} at ${moment(at)}`;
}

function poolLines(terminal: Terminal, pools: readonly PoolSnapshot[]): string[] {
  return [...table(terminal, stateColumns, pools), ...decisionLines(terminal, pools)];
}

const stateColumns: readonly Column<PoolSnapshot>[] = [
  column("POOL", ({ pool }) => pool),
  numbers("WORKERS", ({ workers }) => workers),
  numbers("TARGET", ({ target }) => target),
  numbers("BUSY", ({ busyWorkers }) => busyWorkers),
  numbers("MIN", ({ minWorkers }) => minWorkers),
  numbers("MAX", ({ maxWorkers }) => maxWorkers),
  numbers("RUNNING", ({ running }) => running),
  numbers("ELIGIBLE", ({ eligible }) => eligible, unlessZero("waiting")),
  numbers("QUEUED", ({ queued }) => queued, unlessZero("waiting")),
  numbers("OLDEST", ({ oldestAgeMs }) => age(oldestAgeMs)),
  column("STATE", stateOf, {
    style: (cell) => (cell.startsWith(open) ? "good" : cell.startsWith(broken) ? "bad" : "waiting"),
  }),
];

type Decision = PoolSnapshot["decisions"][number] & { readonly pool: string };

const decisionColumns: readonly Column<Decision>[] = [
  column("AT", ({ at }) => moment(at)),
  column("POOL", ({ pool }) => pool),
  column("WORKERS", ({ from, to }) => (from === to ? to : `${from} → ${to}`)),
  column("WHY", ({ why }) => why),
];

/** The latest decisions of the autoscaler, newest first; no lines if there are none. */
function decisionLines(terminal: Terminal, pools: readonly PoolSnapshot[]): string[] {
  const all = pools.flatMap(({ pool, decisions }) => decisions.map((decision) => ({ pool, ...decision })));
  if (all.length === 0) return [];
  const newest = all.toSorted((a, b) => b.at.getTime() - a.at.getTime()).slice(0, maxDecisions);
  return ["", ...table(terminal, decisionColumns, newest)];
}

const maxDecisions = 10;
const open = "open";
const broken = "broken";

function stateOf({ pause, resize, isBroken }: PoolSnapshot): string {
  const state = pause ? `paused ${byWhom(pause)}` : isBroken ? broken : open;
  return resize ? `${state}; resized ${byWhom(resize)}, configured ${boundsText(resize.configured)}` : state;
}
