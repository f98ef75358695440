/** A store in a folder of its own for each test of a file, whose own file can be damaged while it is closed. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach } from "node:test";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";

let directory: string;
let path: string;
/** What the store told of damage in this test. */
export const told: string[] = [];

/** Each test of the calling file has a folder. */
export function useFolder(): void {
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "millpond-damage-"));
    path = join(directory, "jobs.db");
    told.length = 0;
  });
  afterEach(() => rm(directory, { recursive: true }));
}

export const open = (): Promise<Store> =>
  openSqliteStore({ path, onFailure: (error) => assert.fail(error), onDamage: (sentence) => told.push(sentence) });

/** Removes the store, so that the next one begins anew. */
export async function removeStore(): Promise<void> {
  await rm(path);
  await rm(`${path}.commits`);
}

/** Flips a bit of the first place that holds this. */
export async function flip(found: string | Buffer): Promise<void> {
  const content = await readFile(path);
  const at = content.indexOf(found);
  assert.ok(at > 0, "the text is in the file");
  content[at]! ^= 1;
  await writeFile(path, content);
}

/** Changes rows of the closed store, and the indexes with them. */
export function alter(sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

/** The first row that a query of the closed store gives. */
export function query(sql: string): unknown[] {
  const db = new DatabaseSync(path);
  const row = Object.values(db.prepare(sql).get()!);
  db.close();
  return row;
}

/** The store with what was put into it, opened again after the closed file was changed. */
export async function damaged(sql: string, put: (store: Store) => Promise<unknown>): Promise<Store> {
  const store = await open();
  await put(store);
  await store.close();
  alter(sql);
  return open();
}

/** An id as the tables have it, for a literal. */
export const hex = (id: string) => id.replaceAll("-", "");

export const sentence = (side: "input" | "output" | "state", id: string) =>
  `the stored ${side} of job ${id} does not match its checksum: the file is damaged`;
