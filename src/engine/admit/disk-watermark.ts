/**
 * Polls the free space of the store's disk, so that jobs are refused while there is still room to settle the running
 * ones.
 */
import type { Clock } from "../../clock.ts";
import { type MillpondError, messageOf, refusal } from "../../errors.ts";
import { createLoop, type Service } from "../../lifecycle.ts";
import type { Log } from "../../log.ts";

export type DiskWatermark = Service & {
  /** `disk_full` while there is too little space; undefined otherwise, and while the free space is unknown. */
  refusal(): MillpondError | undefined;
  /** The space at the last poll; undefined: unknown, or there is no disk. */
  room(): { readonly freeBytes: number; readonly leastBytes: number } | undefined;
};

/** The result of `statfs`: blocks of `bsize` bytes, `bavail` of them free for this user. */
export type DiskSize = { readonly bsize: number; readonly blocks: number; readonly bavail: number };

export type DiskWatermarkParts = {
  /** A file or folder on the disk. */
  readonly path: string;
  /**
   * Free space below which submits are refused; 0: never. Null: 256 MiB, and on a small disk a twentieth of it, at
   * least 32 MiB.
   */
  readonly leastFreeMiB: number | null;
  readonly clock: Clock;
  readonly statfs: (path: string) => Promise<DiskSize>;
  /** Free bytes inside the store's files, which new jobs use before the files grow. */
  readonly freeInside: () => Promise<number>;
  /** Called when jobs start to be refused, and when they are accepted again. */
  readonly onChanged: () => void;
  readonly log: Log;
};

const mebibyte = 2 ** 20;
const usualLeastMiB = 256;
const leastFreeShare = 0.05;
/**
 * What settling may need outside of the files, however small the disk is: the write-ahead log grows to 16 MiB, and the
 * main file by what is moved there.
 */
const reserveMiB = 32;
const everyMs = 1_000;
/** When a client should try again: operators or retention free space, and neither is quick. */
const retryAfterMs = 10_000;

/** Used if there is no disk. */
export const noDiskWatermark: DiskWatermark = {
  name: "disk watch",
  start: async () => {},
  stop: async () => {},
  refusal: () => undefined,
  room: () => undefined,
};

/**
 * Polls about once a second, and nothing waits for a poll, so that a disk that hangs delays nothing here. Free space
 * inside the store's files counts, except for the reserve that the write-ahead log needs outside of them.
 */
export function createDiskWatermark(parts: DiskWatermarkParts): DiskWatermark {
  const { path, leastFreeMiB, clock, statfs, freeInside, onChanged, log } = parts;
  const loop = createLoop({ name: "disk watch", clock, everyMs, startsAtOnce: true, round: poll });
  /** Free and required MiB while there is too little. */
  let shortage: { readonly free: number; readonly least: number } | undefined;
  let isUnknown = false;
  let room: ReturnType<DiskWatermark["room"]>;

  async function poll(): Promise<void> {
    try {
      const [{ bsize, blocks, bavail }, inside] = await Promise.all([
        statfs(path),
        freeInside().catch(() => 0), // the store has failed, and reports that itself
      ]);
      if (!loop.isRunning()) return;
      isUnknown = false;
      const least = leastFreeMiB === null ? usualLeast(blocks * bsize) : leastFreeMiB * mebibyte;
      const outside = bavail * bsize;
      room = { freeBytes: outside, leastBytes: least };
      const reserve = Math.min(reserveMiB * mebibyte, least);
      if (outside < reserve) judge(outside, reserve);
      else judge(outside + inside, least);
    } catch (error) {
      if (!loop.isRunning()) return;
      if (!isUnknown)
        log.warn({ path, error: messageOf(error) }, "the free space of the disk is unknown: jobs are accepted");
      isUnknown = true;
      room = undefined;
      if (shortage) {
        shortage = undefined;
        onChanged();
      }
    }
  }

  function usualLeast(sizeBytes: number): number {
    return Math.min(usualLeastMiB * mebibyte, Math.max(sizeBytes * leastFreeShare, reserveMiB * mebibyte));
  }

  function judge(freeBytes: number, leastBytes: number): void {
    const wasShort = shortage !== undefined;
    const free = Math.floor(freeBytes / mebibyte);
    const least = Math.ceil(leastBytes / mebibyte);
    shortage = freeBytes < leastBytes ? { free, least } : undefined;
    if (shortage && !wasShort)
      log.warn({ path, freeMiB: free, leastMiB: least }, "the disk is full: no jobs are accepted");
    if (!shortage && wasShort) log.info({ path, freeMiB: free }, "the disk has room again: jobs are accepted");
    if ((shortage !== undefined) !== wasShort) onChanged();
  }

  return {
    ...loop,
    async stop() {
      void loop.stop(); // not awaited, because the disk may hang
      shortage = undefined;
    },
    room: () => room,
    refusal: () => shortage && refusal("disk_full", [shortage.free, shortage.least], { retryAfterMs }),
  };
}
