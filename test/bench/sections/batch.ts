/** Rows through `db.batch` into a real PostgreSQL, against loops over the same driver with as many connections. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { startPostgres, withoutPostgres } from "../../support/postgres.ts";
import { insert, table } from "../baselines/insert.ts";
import { median, rounded, sum } from "../numbers.ts";
import { startServer } from "../server.ts";
import { type Bench, rounds, type Section, slice } from "./section.ts";

const connections = 2;
const setsPerJob = 1000;
/** Enough that a connection never waits for its next job. */
const jobsInFlight = 4 * connections;
const target = 0.9;
const passwordEnv = "BENCH_POSTGRES_PASSWORD";

export async function measureBatch(bench: Bench): Promise<Section> {
  if (withoutPostgres !== false) throw new Error(withoutPostgres);
  const postgres = await startPostgres();
  try {
    return await measureOn(postgres, bench);
  } finally {
    await postgres.stop();
  }
}

async function measureOn(
  { port, password, connect }: Awaited<ReturnType<typeof startPostgres>>,
  bench: Bench,
): Promise<Section> {
  const admin = await connect();
  await admin.query(table);
  const server = await serverWith(port, password, bench);
  try {
    const run = (seconds: number) => {
      const options = { address: server.address, seconds, setsPerJob, jobsInFlight };
      return slice({ ...bench, server }, seconds, (limitMs) => bench.load.call("runBatches", options, limitMs));
    };
    const bare = (seconds: number, isPipelined: boolean) => {
      const options = { port, password, seconds, connections, rowsPerTransaction: setsPerJob, isPipelined };
      return bench.baselines.call("runInserts", options, 60_000 + seconds * 1000);
    };
    const warming = [await run(2), await bare(1, false)];
    const seconds = bench.seconds / rounds;
    const slices = [];
    const loops = [];
    const pipelined = [];
    for (let round = 1; round <= rounds; round += 1) {
      slices.push(await run(seconds));
      loops.push(await bare(seconds, false));
      pipelined.push(await bare(seconds, true));
      const last = [slices, loops, pipelined].map((each) => Math.round(each.at(-1)?.rowsPerSecond ?? 0));
      bench.say(`batch ${round}/${rounds}: ${last[0]} rows/s, ${last[1]} by a bare loop, ${last[2]} pipelined`);
    }
    const { rows: counted } = await admin.query<{ n: string }>("SELECT count(*) AS n FROM payments");
    const expected = sum([...warming, ...slices, ...loops, ...pipelined].map(({ rows }) => rows));
    const rowsPerSecond = median(slices.map((each) => each.rowsPerSecond));
    const bareRowsPerSecond = median(loops.map((each) => each.rowsPerSecond));
    const ratioToBare = rowsPerSecond / bareRowsPerSecond;
    const cpuSeconds = sum(slices.map((each) => each.serverCpuSeconds + each.cpuSeconds));
    return {
      figures: {
        rowsPerSecond: rounded(rowsPerSecond),
        bareRowsPerSecond: rounded(bareRowsPerSecond),
        ratioToBare: rounded(ratioToBare),
        pipelinedRowsPerSecond: rounded(median(pipelined.map((each) => each.rowsPerSecond))),
        cpuSecondsPer100kRows: rounded((cpuSeconds / sum(slices.map(({ rows }) => rows))) * 100_000, 3),
        bareCpuSecondsPer100kRows: rounded(
          (sum(loops.map((each) => each.cpuSeconds)) / sum(loops.map(({ rows }) => rows))) * 100_000,
          3,
        ),
        ...{ connections, setsPerJob, jobsInFlight },
      },
      rows: [
        {
          figure: "batch: rows/s",
          value: rowsPerSecond.toFixed(0),
          comparedWith: `${bareRowsPerSecond.toFixed(0)} by a bare loop`,
          ratio: ratioToBare,
          target: `ratio >= ${target}`,
          isReached: ratioToBare >= target,
        },
      ],
      faults:
        Number(counted[0]?.n) === expected
          ? []
          : [`${counted[0]?.n} rows are in the table, and ${expected} were inserted`],
    };
  } finally {
    await server.stop();
    await admin.end();
  }
}

async function serverWith(port: number, password: string, { folder, pictures }: Bench) {
  process.env[passwordEnv] = password;
  const statements = { insert: { sql: insert, parameters: { account: "text", amount: "numeric" } } };
  const place = { host: "127.0.0.1", port, database: "postgres", user: "postgres", passwordEnv };
  const resources = { databases: { bench: { postgres: place, connections, statements } } };
  const own = join(folder, "batch");
  await mkdir(own);
  const pools = JSON.stringify({ cpu: { workers: 1 }, io: { workers: connections } });
  return startServer(own, pictures, [], ["--resources", JSON.stringify(resources), "--pools", pools]);
}
