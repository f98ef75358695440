import type { DatabaseSync } from "node:sqlite";
import { prepareQuery } from "./connection.ts";

/** Payloads up to this size stay in the job's row; longer ones would be rewritten with every change of state. */
const inlineBytes = 2_048;

export type Side = "input" | "output";

export type Payloads = {
  /** Stores bytes when they are too long for the job's row. */
  setApart(seq: number, side: Side, bytes: Uint8Array | null): void;
  /** The bytes of a payload from what the job's row holds of it; null when `kind` says there is none, or they are lost. */
  fetch(
    seq: number,
    side: Side,
    kind: number | null,
    held: Uint8Array<ArrayBuffer> | null,
  ): Uint8Array<ArrayBuffer> | null;
  /** Removes what lies apart of a job. */
  remove(seq: number): void;
  removeOutput(seq: number): void;
};

export function createPayloads(db: DatabaseSync): Payloads {
  const insert = db.prepare("INSERT INTO payload (id, bytes) VALUES (?, ?)");
  const select = prepareQuery<[Uint8Array<ArrayBuffer>]>(db, "SELECT bytes FROM payload WHERE id = ?");
  const erase = db.prepare("DELETE FROM payload WHERE id BETWEEN ? AND ?");
  const idOf = (seq: number, side: Side) => 2 * seq + (side === "output" ? 1 : 0);

  return {
    setApart: (seq, side, bytes) => {
      if (inRow(bytes) !== bytes) insert.run(idOf(seq, side), bytes);
    },
    fetch: (seq, side, kind, held) => {
      if (kind === null || held !== null) return held;
      const row = select.get(idOf(seq, side));
      return row ? row[0] : null; // the checksum of what is lost matches nothing
    },
    remove: (seq) => void erase.run(idOf(seq, "input"), idOf(seq, "output")),
    removeOutput: (seq) => void erase.run(idOf(seq, "output"), idOf(seq, "output")),
  };
}

/** What the job's row holds of a payload: its bytes, or null when they lie apart. */
export function inRow(bytes: Uint8Array | null): Uint8Array | null {
  return bytes !== null && bytes.length > inlineBytes ? null : bytes;
}
