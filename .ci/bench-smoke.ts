/** Runs the load generator for a moment, as a reader of README would, and checks what it prints. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";

const command = "npm run --silent bench -- --only exchange --seconds 2 --json";
const { status, stdout } = spawnSync(command, { shell: true, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
assert.equal(status, 0, `${command} ended with ${status}`);
const { exchange } = JSON.parse(stdout);
assert.ok(exchange.jobsPerSecond > 0, "jobs were done");
assert.ok(exchange.submitted > 0, "jobs were submitted");
assert.equal(exchange.results, exchange.submitted, "each job has one result");
process.stdout.write(`${Math.round(exchange.jobsPerSecond)} jobs/s\n`);
