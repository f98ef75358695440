/** Work that takes a child process many seconds, and what is known of that process. */
import { channel } from "node:diagnostics_channel";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { ChildProcess } from "node:child_process";
import sharp from "sharp";
import type { Plan } from "../../src/tasks/image/plan.ts";
import { until } from "../support/until.ts";

/** 16 megapixels as AVIF: seconds of an idle core, or many of one that is shared. */
export const slowPlan: Plan = {
  width: 4000,
  height: 4000,
  format: "avif",
  fit: "fill",
  quality: 100,
  frames: 1,
  maxPixels: 50_000_000,
};

/** Noise, the worst of pictures, as JPEG. */
export function noise(): Promise<Buffer> {
  const raw = { width: 1500, height: 1500, channels: 1 } as const;
  return sharp(randomBytes(raw.width * raw.height), { raw })
    .jpeg()
    .toBuffer();
}

/** Resolves with the process id of the next child process of this thread. */
export function nextChild(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const onChild = (message: unknown) => {
    channel("child_process").unsubscribe(onChild);
    const child = (message as { readonly process: ChildProcess }).process;
    child.once("spawn", () => resolve(child.pid as number));
  };
  channel("child_process").subscribe(onChild);
  return promise;
}

/** Resolves when the process has worked for half a second: it decodes or encodes, for it starts in a fifth of that. */
export async function busy(pid: number): Promise<void> {
  await until(() => {
    const ticks = cpuTicks(pid);
    if (ticks === undefined) throw new Error(`process ${pid} has ended`);
    return ticks >= 50;
  });
}

export function gone(pid: number): Promise<void> {
  return until(() => cpuTicks(pid) === undefined);
}

/** Hundredths of a second of CPU that a process has used; undefined when it has ended. */
export function cpuTicks(pid: number): number | undefined {
  const stat = statOf(pid);
  return stat && Number(stat[11]) + Number(stat[12]);
}

/** Child processes of this process that have not ended. */
export function children(): number[] {
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
  return pids.filter((pid) => statOf(pid)?.[1] === String(process.pid));
}

/** Fields of `stat` after the name (proc(5)): state, parent, ...; undefined when the process has ended. */
function statOf(pid: number): readonly string[] | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ");
    return fields?.[0] === "Z" ? undefined : fields;
  } catch {
    return undefined;
  }
}
