/** Jobs of `db.batch`, a fixed number of them under way. */
import { connect } from "../../../clients/typescript/index.ts";
import { setsOf } from "../baselines/insert.ts";

export type BatchLoad = {
  readonly address: string;
  readonly seconds: number;
  /** Rows that each job inserts. */
  readonly setsPerJob: number;
  readonly jobsInFlight: number;
};

export type RowSlice = { readonly rowsPerSecond: number; readonly rows: number; readonly cpuSeconds: number };

/** Rejects when a job does not succeed. */
export async function runBatches({ address, seconds, setsPerJob, jobsInFlight }: BatchLoad): Promise<RowSlice> {
  const client = connect({ address, keepaliveMs: 0 });
  const sets = setsOf(setsPerJob);
  const cpuBefore = process.cpuUsage();
  const beganAt = performance.now();
  const endsAt = beganAt + seconds * 1000;
  let rows = 0;
  const caller = async () => {
    while (performance.now() < endsAt) {
      const { state } = await client.run("db.batch", { database: "bench", statement: "insert", sets });
      if (state !== "SUCCEEDED") throw new Error(`a job is ${state}`);
      rows += setsPerJob;
    }
  };
  try {
    await Promise.all(Array.from({ length: jobsInFlight }, caller));
    const { user, system } = process.cpuUsage(cpuBefore);
    return { rowsPerSecond: (rows / (performance.now() - beganAt)) * 1000, rows, cpuSeconds: (user + system) / 1e6 };
  } finally {
    await client.close();
  }
}
