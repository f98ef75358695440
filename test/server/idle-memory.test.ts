/** docs/operations.md: what a server takes that has nothing to do. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { startMillpond } from "../cli/server.ts";
import { until } from "../support/until.ts";

/** Measured: 127 to 136 MiB; with a thread in each pool 217, with what the start leaves behind 168. */
const maxMiB = 155;
const defaultPools = ["--pools", "{}"];

/** How many threads of the process have this name; one that has ended by the time it is looked at has none. */
function threadsNamed(name: string, pid: number): number {
  const nameOf = (id: string) => {
    try {
      return readFileSync(`/proc/${pid}/task/${id}/comm`, "utf8").trim();
    } catch {
      return undefined;
    }
  };
  return readdirSync(`/proc/${pid}/task`).filter((id) => nameOf(id) === name).length;
}

function residentMiB(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) / 1024;
}

const skip = process.platform === "linux" ? false : "only Linux has /proc";

test(`a server with default pools and nothing to do has no worker thread, and takes ${maxMiB} MiB at most`, {
  skip,
}, async (t) => {
  const server = await startMillpond(defaultPools);
  t.after(server.dispose);
  // what the start left behind is collected some seconds later
  await until(() => residentMiB(server.pid) <= maxMiB).catch(() => assert.fail(`${residentMiB(server.pid)} MiB`));
  assert.equal(threadsNamed("WorkerThread", server.pid), 0);
  const ran = await server.as("ada", ["run", "echo", "1"]);
  assert.equal(ran.code, 0, ran.stderr);
  assert.equal(threadsNamed("WorkerThread", server.pid), 1);
});
