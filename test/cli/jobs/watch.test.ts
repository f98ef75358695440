import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { toJobInfo } from "../../../clients/typescript/job-info.ts";
import type { JobUpdate } from "../../../clients/typescript/index.ts";
import { updateLine } from "../../../src/cli/jobs/watch.ts";
import { JobSchema, JobState } from "../../../src/gen/millpond/v1/job_pb.ts";

const terminal = {
  print: () => undefined,
  printError: () => undefined,
  status: () => undefined,
  clear: () => undefined,
  style: (style: string, text: string) => `<${style}>${text}`,
  openScreen: () => undefined,
  endWithReader: () => undefined,
};
const lineOf = (update: JobUpdate) => updateLine(terminal, update);

test("each kind of update is one line", () => {
  const job = toJobInfo(
    create(JobSchema, {
      state: JobState.QUEUED,
      attempts: 1,
      maxAttempts: 4,
      lastFailure: { reason: "nope", message: "no\nway" },
      runAt: { seconds: 1_790_000_000n },
    }),
  );
  assert.match(
    lineOf({ event: 1, kind: "job", job }),
    /^<waiting>QUEUED {2}attempt 1 of at most 4; nope: no way; next attempt at 2026-/,
  );
  assert.match(
    lineOf({ event: 1, kind: "job", job: { ...job, state: "RUNNING", isCancelling: true } }),
    /^<waiting>RUNNING {2}attempt 1 of at most 4; stopping$/,
  );
  assert.equal(lineOf({ event: 2, kind: "progress", progress: { fraction: 0.5, note: "" } }), " 50 %");
  assert.equal(
    lineOf({ event: 2, kind: "progress", progress: { fraction: 1, note: "last\r\nrow" } }),
    "100 %  last row",
  );
  assert.match(lineOf({ event: 3, kind: "dropped", count: 12 }), /^<quiet>.*12 log lines or progress reports/);
});

test("a log line tells its level and its fields, and cannot move the cursor", () => {
  const line = { text: "wide\u001b[2J", level: "error", fields: { width: 9 }, attempt: 1, at: new Date(0) } as const;
  const shown = lineOf({ event: 1, kind: "log", line });
  assert.match(shown, /^<bad>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d error wide\\u001b\[2J \{"width":9\}$/);
  assert.match(
    lineOf({ event: 1, kind: "log", line: { ...line, level: "info", fields: {} } }),
    /^\d{4}-.* info {2}wide/,
  );
});
