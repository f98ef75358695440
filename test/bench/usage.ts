/** What a process used, as Linux's /proc tells it. Elsewhere every figure is NaN, and null in the JSON. */
import { readFileSync } from "node:fs";

/** Of /proc/<pid>/stat; USER_HZ is 100 on every architecture that Node.js runs on. */
const ticksPerSecond = 100;

/** CPU time of all threads so far, user and system, in seconds; exact to 0.01. */
export function cpuSeconds(pid: number): number {
  const stat = read(pid, "stat");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13)
    .map(Number);
  return ((user ?? Number.NaN) + (system ?? Number.NaN)) / ticksPerSecond;
}

/** The most memory that was resident at once, in MiB. */
export function peakMemoryMiB(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(read(pid, "status"))?.[1] ?? Number.NaN) / 1024;
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return ""; // no /proc here
  }
}
