/** What a user of curl sees: plain HTTP/1.1 and JSON, without any client library. */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { after, describe, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../src/gen/google/rpc/status_pb.ts";
import { openServer, type TestServer } from "./fixtures.ts";
import { openGate } from "./gate.ts";

type Detail = { readonly type: string; readonly value: string; readonly debug: unknown };

/** What the tests look at of any answer; which fields there are depends on the answer. */
type Body = {
  readonly receipts: readonly { readonly jobId: string; readonly refusal?: { reason: string; message: string } }[];
  readonly job: Job;
  readonly result: { readonly output: unknown };
  readonly code: string;
  readonly message: string;
  readonly details: readonly Detail[];
};

type Job = {
  readonly state: string;
  readonly deadReason?: string;
  readonly result?: {
    readonly attempts: number;
    readonly output: { readonly message: { readonly [key: string]: unknown } };
  };
};

type FinalJob = Job & Required<Pick<Job, "result">>;

type Answer = { readonly status: number; readonly headers: Headers; readonly body: Body };

const json = { "content-type": "application/json" };

/** Like `curl --json BODY http://ADDRESS/millpond.v1.WorkerPoolService/METHOD`. */
async function curl(
  { httpAddress }: Pick<TestServer, "httpAddress">,
  method: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`http://${httpAddress}/millpond.v1.WorkerPoolService/${method}`, {
    method: "POST",
    headers: { ...json, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: (text === "" ? {} : JSON.parse(text)) as Body };
}

async function health({ httpAddress }: Pick<TestServer, "httpAddress">) {
  const response = await fetch(`http://${httpAddress}/readyz`);
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as { status: string; reasons?: { reason: string }[] },
  };
}

/** The job that the first receipt names, asked for until it is final. */
async function finished(server: TestServer, { receipts }: Pick<Body, "receipts">): Promise<FinalJob> {
  for (;;) {
    const { job } = (await curl(server, "GetJob", { jobId: receipts[0]?.jobId })).body;
    if (job.result) return { ...job, result: job.result };
  }
}

const detailsOf = ({ body }: Answer) => body.details.map(({ debug }) => debug);

/** A detail's bytes, which are base64 without padding, as every language but JSON reads them. */
const bytesOf = (details: readonly Detail[], type: string) =>
  Buffer.from(details.find((detail) => detail.type === type)?.value ?? "", "base64");

describe("with nothing but HTTP and JSON", async () => {
  const server = await openServer({ rate: { clients: { hasty: { perSecond: 0.001, burst: 1 } } } });
  after(() => server.remove());

  test("a job is submitted, run, and shown with its output", async () => {
    const { status, headers, body } = await curl(server, "Submit", {
      jobs: [{ task: "echo", input: { json: { hello: ["world", 1, null] } } }],
    });
    assert.deepEqual([status, headers.get("content-type")], [200, "application/json"]);
    const job = await finished(server, body);
    assert.equal(job.state, "JOB_STATE_SUCCEEDED");
    assert.deepEqual(job.result.output, { json: { hello: ["world", 1, null] } });
    assert.equal(job.result.attempts, 1);
  });

  test("a task that declares types takes and gives them as JSON", async () => {
    const { body } = await curl(server, "Submit", { jobs: [{ task: "sleep", input: { json: { durationMs: 1 } } }] });
    const job = await finished(server, body);
    assert.equal(job.result.output.message["@type"], "type.googleapis.com/millpond.tasks.v1.SleepOutput");
    assert.ok(Number(job.result.output.message["sleptMs"]) >= 0);
  });

  test("of several jobs each gets its own receipt, and one bad job does not spoil the call", async () => {
    const { status, body } = await curl(server, "Submit", { jobs: [{ task: "echo" }, { task: "ecco" }] });
    assert.equal(status, 200);
    const [good, bad] = body.receipts;
    assert.ok(good && bad);
    assert.match(good.jobId, /^[0-9a-f-]{36}$/);
    assert.equal(bad.refusal?.reason, "unknown_task");
    assert.match(bad.refusal?.message ?? "", /^no task is named "ecco"; there are: [a-z., ]*echo, /);
  });

  test("who calls is told by a header, and one client does not see another's job", async () => {
    const ada = { "millpond-client": "ada" };
    const { body } = await curl(server, "Submit", { jobs: [{ task: "echo" }] }, ada);
    const jobId = body.receipts[0]?.jobId;
    assert.equal((await curl(server, "GetJob", { jobId }, ada)).status, 200);
    const other = await curl(server, "GetJob", { jobId }, { "millpond-client": "bob" });
    assert.deepEqual(
      [other.status, other.body.code, detailsOf(other)[0]],
      [404, "not_found", { reason: "job_not_found", domain: "millpond" }],
    );
  });

  test("an error has a code, a sentence, and details to read as JSON or as google.rpc messages", async () => {
    const jobs = [{ task: "sleep", input: { json: { durationMs: "long" } } }];
    const { status, headers, body } = await curl(server, "Submit", { jobs });

    const violation = {
      field: "jobs[0].input.durationMs",
      description: 'expected number (uint32), got "long"',
    };
    assert.deepEqual([status, headers.get("content-type")], [400, "application/json"]);
    assert.deepEqual(Object.keys(body).toSorted(), ["code", "details", "message"]);
    assert.equal(body.code, "invalid_argument");
    assert.equal(body.message, `${violation.field}: ${violation.description}`);
    assert.deepEqual(
      body.details.map(({ type, debug }) => [type, debug]),
      [
        ["google.rpc.ErrorInfo", { reason: "invalid_argument", domain: "millpond" }],
        ["google.rpc.BadRequest", { fieldViolations: [violation] }],
      ],
    );
    const info = fromBinary(ErrorInfoSchema, bytesOf(body.details, "google.rpc.ErrorInfo"));
    assert.deepEqual([info.reason, info.domain], ["invalid_argument", "millpond"]);
    const bad = fromBinary(BadRequestSchema, bytesOf(body.details, "google.rpc.BadRequest"));
    assert.deepEqual(
      bad.fieldViolations.map(({ field }) => field),
      [violation.field],
    );
  });

  test("a refusal that passes says when to come back, in the body and in a header", async () => {
    const hasty = { "millpond-client": "hasty" };
    const jobs = [{ task: "echo" }];
    let refused = await curl(server, "Submit", { jobs }, hasty);
    while (refused.status === 200) refused = await curl(server, "Submit", { jobs }, hasty); // its burst is one job

    assert.deepEqual([refused.status, refused.body.code], [429, "resource_exhausted"]);
    assert.deepEqual(detailsOf(refused)[0], { reason: "rate_limited", domain: "millpond" });
    const { retryDelay } = fromBinary(RetryInfoSchema, bytesOf(refused.body.details, "google.rpc.RetryInfo"));
    const delayMs = Number(retryDelay?.seconds) * 1000 + (retryDelay?.nanos ?? 0) / 1e6;
    assert.ok(delayMs > 0 && delayMs <= 1_000_000, `${delayMs} ms`);
    const pushbackMs = Number(refused.headers.get("grpc-retry-pushback-ms"));
    assert.ok(pushbackMs >= delayMs && pushbackMs <= Math.ceil(delayMs * 1.5), `${pushbackMs} ms for ${delayMs} ms`);
  });

  const sleepInput = { "@type": "x/millpond.tasks.v1.SleepInput", ms: 1 };
  for (const [method, body, fields, type] of [
    ["CancelJobs", { filter: { all: true, taks: "echo" } }, ["filter.taks"], "JobFilter"],
    ["RedriveJobs", { filter: { all: true, taks: "echo" } }, ["filter.taks"], "JobFilter"],
    ["DeleteJobs", { jobIds: ["0198a3b4-0000-7000-8000-00000000000a"], taks: 1 }, ["taks"], "DeleteJobsRequest"],
    ["ListDeadLetters", { filter: { taks: "echo" } }, ["filter.taks"], "JobFilter"],
    ["ListJobs", { taks: "echo" }, ["taks"], "ListJobsRequest"],
    [
      "Submit",
      { jobs: [{}, { tsk: 1 }, { retry: { tries: 2 } }] },
      ["jobs[1].tsk", "jobs[2].retry.tries"],
      "RetryPolicy",
    ],
    ["Run", { job: { task: "sleep", input: { message: sleepInput } } }, ["job.input.message.ms"], "SleepInput"],
  ] as const) {
    test(`${method} refuses what it does not know, ${fields.join(" and ")}, with a reason, its path and the names there are`, async () => {
      const { status, body: refused } = await curl(server, method, body);
      assert.deepEqual([status, refused.code], [400, "invalid_argument"]);
      const info = fromBinary(ErrorInfoSchema, bytesOf(refused.details, "google.rpc.ErrorInfo"));
      assert.deepEqual([info.reason, info.domain], ["invalid_argument", "millpond"]);
      const { fieldViolations } = fromBinary(BadRequestSchema, bytesOf(refused.details, "google.rpc.BadRequest"));
      assert.deepEqual(
        fieldViolations.map(({ field }) => field),
        fields,
      );
      const last = new RegExp(`${type}, which has \\w+.*: correct its name, or leave it out$`);
      assert.match(refused.message, last);
    });
  }

  test("Run is a function call, and its deadline is a header", async () => {
    const { body } = await curl(server, "Run", { job: { task: "echo", input: { json: [1, 2] } } });
    assert.deepEqual(body.result.output, { json: [1, 2] });
    const id = "0198a3b4-0000-7000-8000-00000000000c";
    const job = { id, task: "sleep", input: { json: { durationMs: 3_600_000 } } };
    const late = await curl(server, "Run", { job }, { "connect-timeout-ms": "1000" });
    assert.deepEqual([late.status, late.body.code], [504, "deadline_exceeded"]);
    const { state, deadReason } = await finished(server, { receipts: [{ jobId: id }] });
    assert.deepEqual([state, deadReason], ["JOB_STATE_DEAD", "DEAD_REASON_EXPIRED"]);
  });

  for (const [form, method, type] of [
    ["a stream of Connect", "Results", "application/connect+json"],
    ["a call of gRPC-Web", "ListJobs", "application/grpc-web+json"],
  ] as const) {
    test(`${form} in JSON refuses an unknown field in the same way`, async () => {
      const message = Buffer.from(JSON.stringify({ taks: 1 }));
      const head = Buffer.alloc(5);
      head.writeUInt32BE(message.length, 1);
      const response = await fetch(`http://${server.httpAddress}/millpond.v1.WorkerPoolService/${method}`, {
        method: "POST",
        headers: { "content-type": type },
        body: Buffer.concat([head, message]),
      });
      const text = await response.text();
      const inJson = /\{"metadata".*\}|\{"error".*\}/.exec(text)?.[0];
      const inTrailer = /grpc-status-details-bin: (\S+)/.exec(text)?.[1] ?? "";
      const info = inJson
        ? fromBinary(
            ErrorInfoSchema,
            bytesOf((JSON.parse(inJson) as { error: Body }).error.details, "google.rpc.ErrorInfo"),
          )
        : anyUnpack(fromBinary(StatusSchema, Buffer.from(inTrailer, "base64")).details[0]!, ErrorInfoSchema);
      assert.deepEqual([info?.reason, info?.domain], ["invalid_argument", "millpond"]);
      assert.match(text, /taks(: |%3A%20)is/);
    });
  }

  for (const [what, body] of [
    ["no JSON", "{jobs"],
    ["no message", [1]],
    ["a field of another kind", { jobs: "all of them" }],
  ] as const) {
    test(`${what} in place of a request is refused with a reason`, async () => {
      const { status, body: refused } = await curl(server, "Submit", body);
      assert.deepEqual([status, refused.code], [400, "invalid_argument"]);
      const { reason, domain } = fromBinary(ErrorInfoSchema, bytesOf(refused.details, "google.rpc.ErrorInfo"));
      assert.deepEqual([reason, domain], ["malformed_request", "millpond"]);
      assert.match(refused.message, /^the request cannot be read: it is not a millpond\.v1\.SubmitRequest: /);
    });
  }

  for (const [what, method, body, status] of [
    ["what is no JSON", "Submit", "{jobs", 400],
    ["a method that does not exist", "Sumbit", {}, 404],
    ["a cursor from the future", "AckResults", { channel: "untouched", cursor: "7" }, 400],
  ] as const) {
    test(`${what} is answered ${status}`, async () => {
      assert.equal((await curl(server, method, body)).status, status);
    });
  }

  test("a GET of a method is answered 405, and the root 404, each with what to do instead", async () => {
    const get = async (path: string) => {
      const response = await fetch(`http://${server.httpAddress}${path}`);
      return {
        status: response.status,
        allow: response.headers.get("allow"),
        body: (await response.json()) as { message: string; details: readonly Detail[] },
      };
    };
    const [method, nothing] = [await get("/millpond.v1.WorkerPoolService/Stats"), await get("/metricz")];
    assert.deepEqual([method.status, method.allow, nothing.status], [405, "POST", 404]);
    assert.equal(method.body.message, "RPCs are called by POST, and the method is GET: use POST");
    for (const { body } of [method, nothing])
      assert.deepEqual(body.details[0]?.debug, { reason: "not_served", domain: "millpond" });
    assert.match(nothing.body.message, /^nothing is served at "\/metricz": RPCs have paths such as /);
  });

  for (const type of ["application/json", "application/proto"]) {
    test(`what says that it is in gzip and is not is the caller's mistake (${type})`, async () => {
      const headers = { "content-type": type, "content-encoding": "gzip" };
      const whole = gzipSync(JSON.stringify({ jobs: [] }));
      for (const body of [whole.subarray(0, 12), Buffer.from("{}")]) {
        const url = `http://${server.httpAddress}/millpond.v1.WorkerPoolService/Submit`;
        const response = await fetch(url, { method: "POST", headers, body });
        const { code, message } = (await response.json()) as { code: string; message: string };
        assert.deepEqual([response.status, code], [400, "invalid_argument"]);
        assert.match(message, /^the request cannot be read: it is declared as gzip and cannot be inflated: /);
      }
    });
  }

  test("/readyz says SERVING", async () => {
    const { status, headers, body } = await health(server);
    assert.deepEqual([status, body], [200, { status: "SERVING" }]);
    assert.deepEqual([headers.get("content-type"), headers.get("cache-control")], ["application/json", "no-store"]);
  });
});

test("a server that drains says NOT_SERVING, refuses jobs with 503, and still shows those it has", async (t) => {
  const server = await openServer();
  t.after(() => server.remove());
  const gate = await openGate();
  t.after(() => gate.close());
  const { body } = await curl(server, "Submit", { jobs: [{ task: "gate", input: { json: { port: gate.port } } }] });
  const jobId = body.receipts[0]?.jobId;
  const running = await gate.next();
  const stopped = server.stop();

  const unwell = await health(server);
  const refused = await curl(server, "Submit", { jobs: [{ task: "echo" }] });
  const shown = await curl(server, "GetJob", { jobId });
  running.pass();
  await stopped;

  assert.deepEqual(
    [unwell.status, unwell.body.status, unwell.body.reasons?.map(({ reason }) => reason)],
    [503, "NOT_SERVING", ["draining"]],
  );
  assert.deepEqual([refused.status, refused.body.code], [503, "unavailable"]);
  assert.deepEqual(detailsOf(refused), [{ reason: "draining", domain: "millpond" }, { retryDelay: "1s" }]);
  assert.deepEqual([shown.status, shown.body.job.state], [200, "JOB_STATE_RUNNING"]);
  await assert.rejects(health(server), TypeError); // nobody listens any more
});
