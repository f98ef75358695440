/** `submit --json-lines`: submits a job for each line of a file. Keeps a bounded number of lines in memory. */
import { systemClock } from "../../../clients/typescript/clock.ts";
import type { Job, JobOptions, JobRefusal, MillpondClient } from "../../../clients/typescript/index.ts";
import type { LearnTypes } from "../connection.ts";
import { readJsonLines } from "./json-lines.ts";
import type { Terminal } from "../print/terminal.ts";

export type LinesOptions = {
  readonly client: MillpondClient;
  readonly learn: LearnTypes;
  readonly task: string;
  /** `-` is standard input. */
  readonly file: string;
  /** Options for the job of every line; a key is extended by the line's number, as in `nightly-17`. */
  readonly options: JobOptions;
  readonly isJson: boolean;
  readonly terminal: Terminal;
};

/** Jobs per submit request: more gain nothing, and delay the first ids. */
const jobsAtOnce = 500;
const bytesAtOnce = 1024 * 1024;

type LineJob = { readonly line: number; readonly job: Job };
type LineReceipt = { readonly line: number } & (
  | { readonly jobId: string; readonly refusal?: undefined }
  | { readonly jobId?: undefined; readonly refusal: JobRefusal }
);

/** Prints the id of each line's job, in order. Returns the exit code: 1 if a line was refused. */
export async function submitLines(lines: LinesOptions): Promise<number> {
  const { client, task, file, options, isJson, terminal } = lines;
  const { job, MillpondClientError } = await import("../../../clients/typescript/index.ts");
  const refused = createRefusals(lines);
  let batch: LineJob[] = [];
  let bytes = 0;

  async function send(): Promise<void> {
    const jobs = batch;
    batch = [];
    bytes = 0;
    for (const { line, jobId, refusal } of await submitAll(client, jobs)) {
      if (refusal !== undefined) refused.add(line, refusal);
      else terminal.print(isJson ? JSON.stringify({ line, jobId }) : jobId);
    }
  }

  /** Prints a refusal after the ids of the earlier lines. */
  async function refuse(line: number, refusal: Refused): Promise<void> {
    await send();
    refused.add(line, refusal);
  }

  for await (const { line, value, problem } of readJsonLines(file)) {
    if (problem !== undefined) {
      await refuse(line, notJson(problem));
      continue;
    }
    try {
      const made = job(task, value, { ...options, idempotencyKey: keyOf(options, line) });
      batch.push({ line, job: made });
      bytes += made.sizeBytes;
    } catch (error) {
      if (!(error instanceof MillpondClientError)) throw error;
      await refuse(line, error);
    }
    if (batch.length >= jobsAtOnce || bytes >= bytesAtOnce) await send();
  }
  await send();
  return refused.count > 0 ? 1 : 0;
}

/** The idempotency key of one line's job. */
export function keyOf({ idempotencyKey }: JobOptions, line: number): string | undefined {
  return idempotencyKey === undefined ? undefined : `${idempotencyKey}-${line}`;
}

/**
 * Submits jobs, and retries temporary refusals when the server advises: with a full queue the command waits instead of
 * failing.
 */
async function submitAll(client: MillpondClient, jobs: readonly LineJob[]): Promise<LineReceipt[]> {
  const receipts = new Map<number, LineReceipt>();
  for (let left = jobs; left.length > 0; ) {
    const answers = await client.submitAll(left.map(({ job }) => job));
    const again: LineJob[] = [];
    let delayMs = 0;
    for (const [at, { jobId, refusal }] of answers.entries()) {
      const sent = left[at] as LineJob;
      if (refusal?.retryAfterMs !== undefined) {
        again.push(sent);
        delayMs = Math.max(delayMs, refusal.retryAfterMs);
      } else {
        receipts.set(sent.line, refusal === undefined ? { line: sent.line, jobId } : { line: sent.line, refusal });
      }
    }
    left = again;
    if (left.length > 0) await systemClock.sleep(delayMs);
  }
  return jobs.map(({ line }) => receipts.get(line) as LineReceipt);
}

type Refused = Pick<JobRefusal, "reason" | "message">;

export function notJson(problem: string): Refused {
  return { reason: "not_json", message: problem };
}

/** Counts the refused lines, and prints each with the reason. */
export function createRefusals({ isJson, terminal }: Pick<LinesOptions, "isJson" | "terminal">) {
  let count = 0;
  return {
    get count() {
      return count;
    },
    add(line: number, { reason, message }: Refused): void {
      count++;
      if (isJson) terminal.print(JSON.stringify({ line, refusal: { reason, message } }));
      else terminal.printError(`millpond: line ${line}: ${message}`);
    },
  };
}
