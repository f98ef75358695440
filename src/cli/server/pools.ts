/**
 * `millpond pools`: shows pools, and changes them while the server runs.
 */
import { systemClock } from "../../../clients/typescript/clock.ts";
import type {
  AdviceInfo,
  MillpondClient,
  PauseInfo,
  PoolSnapshot,
  SizingInfo,
  WorkerBounds,
} from "../../../clients/typescript/index.ts";
import { mostWorkers } from "../../config/rules.ts";
import { type Command, integerOf, type Invocation, isOn, jsonFlag, UsageError } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { duration, moment } from "../print/format.ts";
import { table, type Terminal } from "../print/terminal.ts";
import { durationOf } from "../times.ts";

/** How late a snapshot may be before the server counts as silent. */
const lateMs = 1_000;

/** Shows the pools, once or repeatedly. */
export const poolsList: Command = {
  usage: "pools list",
  summary: "show the pools: their workers, jobs, and whether they are paused",
  notes:
    "TARGET is the number of workers that the autoscaler wants, BUSY those that run a job. ELIGIBLE jobs could run now, counted up " +
    "to 10,000; QUEUED also includes jobs that are not due yet, and those of a paused pool.",
  flags: [
    { usage: "--watch", doc: "repeat until interrupted" },
    { usage: "--interval <ms>", doc: "interval of --watch, 100 to 60000 (default: 1000)" },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond pools list", "millpond pools --watch --interval 200", "millpond pools list --json"],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const { flags, terminal } = invocation;
      const intervalMs = integerOf(flags, "--interval", { min: 100, max: 60_000, fallback: 1000 });
      const show = (pools: readonly PoolSnapshot[]) => {
        if (isOn(flags, "--json")) terminal.print(JSON.stringify(pools));
        else for (const line of poolLines(terminal, pools)) terminal.print(line);
      };
      if (!isOn(flags, "--watch")) {
        show((await client.stats()).pools);
        return 0;
      }
      let isAnswered = () => {};
      try {
        for await (const { pools } of client.watchStats({ intervalMs })) {
          isAnswered();
          const silence = `no answer since ${moment(new Date(systemClock.now()))}: reconnecting`;
          isAnswered = systemClock.after(intervalMs + lateMs, () => terminal.printError(silence));
          terminal.clear();
          show(pools);
        }
      } finally {
        isAnswered();
      }
      return 0;
    }),
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
      show(invocation, { ...paused, running }, `pool ${pool} ${how}: ${running} running, ${queued} queued`);
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
      show(invocation, resumed, `pool ${pool} ${how}: ${queued} queued`);
      return 0;
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
    const bounds = isReset ? "configured" : { ...(min !== undefined && { min }), ...(max !== undefined && { max }) };
    return withClient(invocation, async (client) => {
      const resized = await client.resizePool(pool, bounds);
      const { changed, previous, resize } = resized;
      const before = changed ? `, before ${boundsText(previous)}` : " as before";
      const origin = resize ? `; the configuration has ${boundsText(resize.configured)}` : ", as configured";
      show(
        invocation,
        resized,
        `pool ${pool} has ${boundsText(resized)} ${resized.max === 1 ? "worker" : "workers"}${before}${origin}`,
      );
      return 0;
    });
  },
};

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
      const { flags, terminal } = invocation;
      const pools = await client.advisePools();
      if (isOn(flags, "--json")) terminal.print(JSON.stringify(pools));
      else for (const line of pools.flatMap(adviceLines)) terminal.print(line);
      return 0;
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

function show({ flags, terminal }: Invocation, answer: object, line: string): void {
  terminal.print(isOn(flags, "--json") ? JSON.stringify(answer) : line);
}

function byWhom({ by, at }: PauseInfo): string {
  return `by ${by} at ${moment(at)}`;
}

function poolLines(terminal: Terminal, pools: readonly PoolSnapshot[]): string[] {
  return [...stateLines(terminal, pools), ...decisionLines(terminal, pools)];
}

function stateLines(terminal: Terminal, pools: readonly PoolSnapshot[]): string[] {
  return table(
    terminal,
    [
      { title: "POOL" },
      { title: "WORKERS", align: "right" },
      { title: "TARGET", align: "right" },
      { title: "BUSY", align: "right" },
      { title: "MIN", align: "right" },
      { title: "MAX", align: "right" },
      { title: "RUNNING", align: "right" },
      { title: "ELIGIBLE", align: "right", style: (cell) => (cell === "0" ? undefined : "waiting") },
      { title: "QUEUED", align: "right", style: (cell) => (cell === "0" ? undefined : "waiting") },
      { title: "OLDEST", align: "right" },
      {
        title: "STATE",
        style: (cell) => (cell.startsWith(open) ? "good" : cell.startsWith(broken) ? "bad" : "waiting"),
      },
    ],
    pools.map((pool) => [
      pool.pool,
      String(pool.workers),
      String(pool.target),
      String(pool.busyWorkers),
      String(pool.minWorkers),
      String(pool.maxWorkers),
      String(pool.running),
      String(pool.eligible),
      String(pool.queued),
      pool.oldestAgeMs === 0 ? "-" : duration(pool.oldestAgeMs),
      stateOf(pool),
    ]),
  );
}

/** The latest decisions of the autoscaler, newest first; no lines if there are none. */
function decisionLines(terminal: Terminal, pools: readonly PoolSnapshot[]): string[] {
  const all = pools.flatMap(({ pool, decisions }) => decisions.map((decision) => ({ pool, ...decision })));
  if (all.length === 0) return [];
  const newest = all.toSorted((a, b) => b.at.getTime() - a.at.getTime()).slice(0, maxDecisions);
  const columns = [{ title: "AT" }, { title: "POOL" }, { title: "WORKERS" }, { title: "WHY" }] as const;
  const rows = newest.map(({ at, pool, from, to, why }) => [
    moment(at),
    pool,
    from === to ? String(to) : `${from} → ${to}`,
    why,
  ]);
  return ["", ...table(terminal, columns, rows)];
}

const maxDecisions = 10;
const open = "open";
const broken = "broken";

function stateOf({ pause, resize, isBroken }: PoolSnapshot): string {
  const state = pause ? `paused ${byWhom(pause)}` : isBroken ? broken : open;
  return resize ? `${state}; resized ${byWhom(resize)}, configured ${boundsText(resize.configured)}` : state;
}
