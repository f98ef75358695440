/** Where the last transaction of SQLite's write-ahead log begins: https://sqlite.org/fileformat2.html#walformat */
import { readFileSync } from "node:fs";

const headerBytes = 32;
const frameHeaderBytes = 24;

/** The first byte behind the last commit but one: what lies there is lost by damage as it would be by a crash. */
export function lastCommitAt(path: string): number {
  const log = readFileSync(path);
  const frameBytes = frameHeaderBytes + log.readUInt32BE(8);
  const salts = log.readBigUInt64BE(16);
  const commits = [headerBytes];
  for (let at = headerBytes; at + frameBytes <= log.length; at += frameBytes) {
    if (log.readBigUInt64BE(at + 8) !== salts) break;
    if (log.readUInt32BE(at + 4) !== 0) commits.push(at + frameBytes);
  }
  return commits.at(-2) ?? headerBytes;
}
