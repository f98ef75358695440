/**
 * Pipelines several statements: they are sent together, and the server answers them without waiting for the client in
 * between (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING). The server bounds the
 * rows, `incoming.ts` the bytes. Passed to `pg.Client.query`, like pg-cursor.
 */
import type { Connection as Wire, Submittable } from "pg";
import { messageOf } from "../../../errors.ts";
import type { JsonValue } from "../../../job/job.ts";
import { failures } from "../failures.ts";
import type { Bound } from "../parameter.ts";
import { maxAnswerBytes } from "../work.ts";
import { decoderOf } from "./cell.ts";

export type Step = {
  readonly text: string;
  readonly values: readonly Bound[];
  /** The server returns at most this many rows. Undefined: rows are not read. */
  readonly maxRows?: number;
};

export type Answered = {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly JsonValue[])[];
  /** Rows that the statements inserted, updated or deleted. */
  readonly affected: number;
  readonly isTooLarge: boolean;
};

/** An error of the server or of the connection, with the index of the step that caused it. */
export class PipelineError extends Error {
  readonly step: number;
  constructor(step: number, cause: unknown) {
    super("a step of a pipeline failed", { cause });
    this.step = step;
  }
}

/** Names of the statements that a connection has prepared, by text. Bounded by the statements of the configuration. */
export type Prepared = Map<string, string>;

export type Pipeline = Submittable & { readonly answered: Promise<Answered> };

export function createPipeline(steps: readonly Step[], prepared: Prepared): Pipeline {
  const { promise, resolve, reject } = Promise.withResolvers<Answered>();
  /** Statements that are being prepared, in the order in which the server answers. */
  const preparing: (readonly [text: string, name: string])[] = [];
  let wire: Wire | undefined;
  let step = 0;
  let columns: string[] = [];
  let decoders: ((text: string) => JsonValue)[] = [];
  const rows: JsonValue[][] = [];
  let bytes = 0;
  let affected = 0;
  /** The first error from decoding a row. */
  let decodingError: unknown;

  function onPrepared(): void {
    const parsed = preparing.shift();
    if (parsed) prepared.set(...parsed);
  }

  function end(): void {
    wire?.off("parseComplete", onPrepared);
  }

  function nameOf(text: string, on: Wire): string {
    const known = prepared.get(text) ?? preparing.find(([each]) => each === text)?.[1];
    if (known !== undefined) return known;
    const name = `millpond${prepared.size + preparing.length}`;
    on.parse({ name, text, types: [] }, true);
    preparing.push([text, name]);
    return name;
  }

  return {
    answered: promise,
    submit(connection) {
      wire = connection;
      connection.on("parseComplete", onPrepared);
      connection.stream.cork();
      for (const { text, values, maxRows } of steps) {
        const statement = nameOf(text, connection);
        connection.bind({ statement, values: values as (Buffer | string | null)[] }, true);
        if (maxRows !== undefined) connection.describe({ type: "P" }, true);
        connection.execute({ rows: maxRows as unknown as string }, true); // a number, despite its declared type
      }
      connection.sync();
      connection.stream.uncork();
    },
    handleRowDescription({
      fields,
    }: {
      readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
    }) {
      columns = fields.map(({ name }) => name);
      decoders = fields.map(({ dataTypeID }) => decoderOf(dataTypeID));
    },
    handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }) {
      if (steps[step]?.maxRows === undefined || bytes > maxAnswerBytes || decodingError !== undefined) return;
      for (const field of fields) bytes += field?.length ?? 1;
      try {
        rows.push(fields.map((field, column) => (field === null ? null : (decoders[column]?.(field) ?? null))));
      } catch (error) {
        decodingError = error; // such as JSON that is nested too deeply; throwing here would end the thread
      }
    },
    handleCommandComplete({ text }: { readonly text: string }) {
      affected += Number(/^(?:INSERT \d+|UPDATE|DELETE|MERGE) (\d+)$/.exec(text)?.[1] ?? 0);
      step += 1;
    },
    handlePortalSuspended() {
      step += 1;
    },
    handleEmptyQuery() {
      step += 1;
    },
    handleReadyForQuery() {
      end();
      if (decodingError !== undefined)
        reject(failures.valueRefused(`a value cannot be read: ${messageOf(decodingError)}`));
      resolve({ columns, rows, affected, isTooLarge: bytes > maxAnswerBytes });
    },
    handleError(error: unknown) {
      end();
      reject(new PipelineError(step, error));
    },
  } as Pipeline;
}
