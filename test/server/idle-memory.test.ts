/** docs/operations.md: what a server takes that has nothing to do. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startMillpond } from "../cli/server.ts";

/** Measured: 127 to 136 MiB; with a thread in each pool 217, with what the start leaves behind 168. */
const maxMiB = 155;
const defaultPools = ["--pools", "{}"];

const threadsOf = (pid: number) =>
  readdirSync(`/proc/${pid}/task`).map((id) => readFileSync(`/proc/${pid}/task/${id}/comm`, "utf8").trim());

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
  while (residentMiB(server.pid) > maxMiB) await pause(100); // what the start left behind is collected some seconds later
  assert.equal(threadsOf(server.pid).includes("WorkerThread"), false);
  const ran = await server.as("ada", ["run", "echo", "1"]);
  assert.equal(ran.code, 0, ran.stderr);
  assert.equal(threadsOf(server.pid).filter((name) => name === "WorkerThread").length, 1);
});
