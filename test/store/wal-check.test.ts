/** Damage inside the write-ahead log is seen at every kind of place, and what a crash leaves there is no damage. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { after, before, suite, test } from "node:test";
import { openConnection } from "../../src/store/sqlite/thread/connection.ts";
import { assertLogWhole, findLogDamage } from "../../src/store/sqlite/integrity/wal-check.ts";

const headerBytes = 32;
const frameBytes = 24 + 4_096;
const frameAt = (index: number) => headerBytes + index * frameBytes;

let directory: string;
let path: string;
/** A log of some transactions, the last of several frames. */
let log: Buffer;
/** The first byte of its last transaction. */
let lastAt: number;

before(() => {
  directory = mkdtempSync(join(tmpdir(), "millpond-log-"));
  path = join(directory, "jobs.db");
  const db = openConnection(path);
  try {
    for (const pages of [2, 1, 3, 1]) write(db, pages);
    lastAt = currentLog().length;
    write(db, 3);
    log = currentLog();
  } finally {
    db.close();
  }
  assert.ok(log.length >= lastAt + 3 * frameBytes);
});
after(() => rmSync(directory, { recursive: true }));

/** One transaction that writes at least so many pages. */
function write(db: DatabaseSync, pages: number): void {
  db.exec("CREATE TABLE IF NOT EXISTS note (text)");
  db.prepare("INSERT INTO note VALUES (?)").run("x".repeat(pages * 4_096));
}

function currentLog(): Buffer {
  return readFileSync(`${path}-wal`);
}

const damageIn = (bytes: Buffer) =>
  findLogDamage({
    size: bytes.length,
    read: (at, length) => new DataView(bytes.buffer, bytes.byteOffset + at, length),
  });

function flipped(bytes: Buffer, at: number, mask = 1): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= mask;
  return copy;
}

const indices = () => Array.from({ length: (log.length - headerBytes) / frameBytes }, (_, index) => index);
const oldFrames = () => indices().filter((index) => frameAt(index) < lastAt);

test("a whole log, an empty one, and one that has only a header are sound", () => {
  for (const size of [log.length, headerBytes, 7, 0]) assert.equal(damageIn(log.subarray(0, size)), undefined);
  assert.equal(damageIn(Buffer.alloc(log.length)), undefined, "zeros that a file system left");
});

suite("a flip is seen, and its place is told,", () => {
  const places = { "page number": 3, salt: 9, "other salt": 15, checksum: 17, "other checksum": 23, page: 24 };
  for (const [name, offset] of Object.entries({ ...places, "end of the page": frameBytes - 1 })) {
    test(`in a frame's ${name}`, () => {
      for (const index of oldFrames()) {
        const found = damageIn(flipped(log, frameAt(index) + offset));
        assert.equal(found?.at, frameAt(index), `frame ${index}`);
      }
    });
  }

  test("in any bit of the mark that makes a frame a commit", () => {
    for (const index of oldFrames()) {
      for (let bit = 0; bit < 32; bit++) {
        const found = damageIn(flipped(log, frameAt(index) + 4 + (bit >> 3), 1 << (bit & 7)));
        assert.equal(found?.at, frameAt(index), `frame ${index}, bit ${bit}`);
      }
    }
  });

  test("in every byte of the log's header", () => {
    for (let at = 0; at < headerBytes; at++) assert.equal(damageIn(flipped(log, at))?.at, 0, `byte ${at}`);
  });
});

test("a sector whose bits are all turned over is seen, in all transactions but the last two", () => {
  // the last but one may have lost the mark of its end with it, and then nothing shows that it had ended
  const wiped = (at: number) =>
    Buffer.from(log).fill(
      log.subarray(at, at + 512).map((byte) => ~byte),
      at,
      at + 512,
    );
  for (let at = frameAt(0); at + 512 + 2 * frameBytes < lastAt; at += 512) {
    const bad = frameAt(Math.floor((at - headerBytes) / frameBytes));
    assert.equal(damageIn(wiped(at))?.at, bad, `byte ${at}`);
  }
});

suite("what a crash leaves is no damage:", () => {
  test("a last transaction that ends at any byte of its last frame", () => {
    for (let size = log.length - frameBytes; size < log.length; size++) {
      assert.equal(damageIn(log.subarray(0, size)), undefined, `${size} bytes`);
    }
  });

  test("a last transaction of which some sectors never came, in any order", () => {
    for (let at = lastAt; at < log.length; at += 512) {
      assert.equal(damageIn(flipped(log, at)), undefined, `flipped at ${at}`);
      const zeros = Buffer.from(log).fill(0, at, Math.min(at + 512, log.length));
      assert.equal(damageIn(zeros), undefined, `zeros at ${at}`);
    }
    assert.equal(damageIn(Buffer.from(log).fill(0, lastAt, log.length - frameBytes)), undefined, "all but its commit");
  });

  test("frames of the log's former use behind those of now", () => {
    const db = openConnection(join(directory, "used.db"));
    try {
      for (let round = 0; round < 4; round++) write(db, 5);
      db.exec("PRAGMA wal_checkpoint(RESTART)");
      write(db, 1);
      const used = readFileSync(join(directory, "used.db-wal"));
      assert.ok(used.length > frameAt(8), "the old frames are still there");
      assert.equal(damageIn(used), undefined);
    } finally {
      db.close();
    }
  });

  test("what a transaction that was torn left behind the one that took its place", () => {
    const torn = flipped(log, lastAt + 24);
    // of the same use of the log: the frame in its place is another's, those behind go on from one another
    assert.equal(damageIn(Buffer.concat([torn, torn.subarray(lastAt + frameBytes)])), undefined);
  });
});

suite("at the store's start", () => {
  /** A store beside the others, with this log. */
  function storeWith(name: string, bytes: Buffer): string {
    const at = join(directory, name);
    copyFileSync(path, at);
    writeFileSync(`${at}-wal`, bytes);
    return at;
  }

  test("damage is refused, with the file, the byte and the remedy", () => {
    const at = storeWith("bad.db", flipped(log, frameAt(1) + 100));
    const sentence = `is damaged: the frame does not match its checksum at byte ${frameAt(1)}`;
    const says = (error: Error) =>
      error.name === "StartError" &&
      error.message.startsWith(`${at}-wal ${sentence}`) &&
      error.message.endsWith("restore the store from a backup and remove this log, or choose another path");
    assert.throws(() => assertLogWhole(at), says);
  });

  test("a sound log, a torn one and none at all are not", () => {
    const at = storeWith("good.db", log);
    assertLogWhole(at);
    truncateSync(`${at}-wal`, log.length - 100);
    assertLogWhole(at);
    rmSync(`${at}-wal`);
    assertLogWhole(at);
    assertLogWhole(join(directory, "none.db"));
  });
});
