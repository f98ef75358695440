#!/usr/bin/env node
/**
 * The `millpond` command. In a clone it runs the sources, on the pinned Node.js when the present one is too old; in the
 * published package it runs what was built from them. Plain JavaScript, so that an old Node.js can say that it is old.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";

const source = new URL("main.ts", import.meta.url);
const built = new URL("../dist/src/main.js", import.meta.url);
const setUp = new URL("../.ci/set-up.mjs", import.meta.url);

const [major, minor] = process.versions.node.split(".").map(Number);
const isNewEnough = major > 24 || (major === 24 && minor >= 15);
const isClone = existsSync(source);

/**
 * V8 obeys these on the command line only. With the first, the memory of ended threads returns to the system. The second
 * bounds the young generation of the main thread, through which the jobs of all clients pass: 8 costs 5 % more CPU time.
 */
const memoryFlags = ["--no-memory-pool-share-memory-on-teardown", "--max-semi-space-size=16"];
/** The same bound for the threads that start from now on, which hold few objects for long. */
const threadFlag = "--max-semi-space-size=8";

/** Runs the command in this process again, with the flags: the process id stays. Returns where that is not possible. */
function startWithMemoryFlags() {
  if (process.platform === "win32" || !process.execve || process.execArgv.includes(memoryFlags[0])) return;
  // Node.js accepts both "-" and "_" in its options
  const given = [process.env.NODE_OPTIONS ?? "", ...process.execArgv].join(" ").replaceAll("_", "-");
  if (/ --(cpu-)?prof( |$)/.test(` ${given}`)) return; // V8 samples by SIGPROF, and one on its way ends the next program
  const flags = memoryFlags.filter((flag) => !given.includes(flag.split("=")[0]));
  if (spawnSync(process.execPath, [...flags, "--version"]).status !== 0) return; // this V8 does not have them
  const args = [process.execPath, ...flags, ...process.execArgv, ...process.argv.slice(1)];
  process.execve(process.execPath, args, process.env);
}

if (isNewEnough) {
  if (process.argv[2] === "serve") startWithMemoryFlags();
  if (process.execArgv.includes(memoryFlags[1])) setFlagsFromString(threadFlag);
  // In this process, so that a signal to the command reaches the server itself.
  await import((isClone ? source : built).href);
} else if (isClone) {
  process.argv.splice(2, 0, fileURLToPath(import.meta.url));
  await import(setUp.href);
} else {
  process.stderr.write(
    `millpond needs Node.js 24.15 or newer and this is ${process.versions.node}: install one from https://nodejs.org\n`,
  );
  process.exitCode = 1;
}
