/**
 * The number of a store's transactions, in a file `<path>.commits` beside it that is written after each of them. It
 * detects a write-ahead log that has lost its last transactions, which would otherwise look intact. It is only synced
 * when it is opened: it survives a killed process, and after a power cut an older number only detects less.
 */
import { closeSync, constants, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import { messageOf } from "../../../errors.ts";
import { orRefuse } from "../thread/start-errors.ts";

export type CommitCounter = {
  /** Writes the number of durable transactions. */
  write(commits: number): void;
  sync(): void;
  close(): void;
};

export const counterPathOf = (path: string) => `${path}.commits`;

/**
 * The least number of transactions that the store at this path must have; undefined: there is no such file, or it does
 * not match its checksum. Throws a StartError if it cannot be read.
 */
export function readCommitCount(path: string): number | undefined {
  return parse(readText(path));
}

/**
 * Opens the counter of a store for writing; creates it if it is missing. Calls `onDamage` if it does not match its
 * checksum. Throws a StartError if it cannot be opened.
 */
export function openCommitCounter(path: string, onDamage: (sentence: string) => void): CommitCounter {
  const found = readText(path);
  if (found !== "" && parse(found) === undefined) {
    onDamage(
      `${counterPathOf(path)} does not match its checksum: were the store's last transactions lost, it would not be known; ` +
        "it is written again",
    );
  }
  const file = attempt(path, "written", () =>
    openSync(counterPathOf(path), constants.O_WRONLY | constants.O_CREAT, 0o600),
  );
  if (found.length > textOf(0).length) ftruncateSync(file, textOf(0).length);
  return {
    write: (commits) => {
      const text = textOf(commits);
      if (writeSync(file, text, 0) < text.length) throw new Error(`${counterPathOf(path)} was not written whole`);
    },
    sync: () => fsyncSync(file),
    close: () => closeSync(file),
  };
}

/** The length is constant, so that one write replaces everything. */
function textOf(commits: number): string {
  const digits = String(commits).padStart(16, "0");
  return `${digits} ${crc32(digits).toString(16).padStart(8, "0")}\n`;
}

function parse(text: string): number | undefined {
  const commits = Number.parseInt(text, 10);
  return text === textOf(commits) ? commits : undefined;
}

function readText(path: string): string {
  return attempt(path, "read", () =>
    existsSync(counterPathOf(path)) ? readFileSync(counterPathOf(path), "latin1") : "",
  );
}

function attempt<T>(path: string, done: string, work: () => T): T {
  return orRefuse(
    work,
    (error) =>
      `${counterPathOf(path)} cannot be ${done} (${messageOf(error)}): it must be a file that this user may read and write`,
  );
}
