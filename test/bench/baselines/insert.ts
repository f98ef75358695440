/** The least that inserting rows costs: loops over the same driver, with as many connections and as many rows a transaction. */
import pg from "pg";
import type { RowSlice } from "../load/batches.ts";

export type InsertLoad = {
  readonly port: number;
  readonly password: string;
  readonly seconds: number;
  readonly connections: number;
  readonly rowsPerTransaction: number;
  /** Whether a row is sent before the one before it is answered. */
  readonly isPipelined: boolean;
};

export const table = "CREATE TABLE payments (id bigserial, account text NOT NULL, amount numeric NOT NULL)";
export const insert = "INSERT INTO payments (account, amount) VALUES ($account, $amount)";

export function setsOf(count: number) {
  return Array.from({ length: count }, (_, index) => ({ account: `account ${index}`, amount: "12.30" }));
}

export async function runInserts(load: InsertLoad): Promise<RowSlice> {
  const { port, password, seconds, connections, rowsPerTransaction, isPipelined } = load;
  const settings = { host: "127.0.0.1", port, password, user: "postgres", database: "postgres", pipeline: isPipelined };
  const clients = Array.from({ length: connections }, () => new pg.Client(settings));
  await Promise.all(clients.map((client) => client.connect()));
  const rowsToInsert = setsOf(rowsPerTransaction).map(({ account, amount }) => [account, amount]);
  const text = insert.replace("$account", "$1").replace("$amount", "$2");
  const cpuBefore = process.cpuUsage();
  const beganAt = performance.now();
  const endsAt = beganAt + seconds * 1000;
  let rows = 0;
  const loop = async (client: pg.Client) => {
    while (performance.now() < endsAt) {
      const sent: Promise<unknown>[] = [];
      const query = async (what: string | { name: string; text: string; values: readonly (string | undefined)[] }) => {
        const answered = client.query(what as string);
        if (isPipelined) sent.push(answered);
        else await answered;
      };
      await query("BEGIN");
      for (const values of rowsToInsert) await query({ name: "insert", text, values });
      await query("COMMIT");
      await Promise.all(sent);
      rows += rowsPerTransaction;
    }
  };
  try {
    await Promise.all(clients.map(loop));
    const { user, system } = process.cpuUsage(cpuBefore);
    return { rowsPerSecond: (rows / (performance.now() - beganAt)) * 1000, rows, cpuSeconds: (user + system) / 1e6 };
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}
