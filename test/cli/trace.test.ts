import assert from "node:assert/strict";
import { after, suite, test } from "node:test";
import { writeFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JobSpec } from "../../src/gen/millpond/v1/job_pb.ts";
import type { RunRequest } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { startFakeServer } from "../clients/typescript/fake-server.ts";
import { runHere } from "./here.ts";

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const variables = { TRACEPARENT: traceparent, TRACESTATE: "vendor=1", BAGGAGE: "customer=17" };

suite("a command that a traced program starts", async () => {
  const sent: JobSpec[] = [];
  const server = await startFakeServer({
    receipt: (spec) => {
      sent.push(spec);
      return undefined;
    },
    onUnary: {
      run: ({ job }: RunRequest) => {
        sent.push(job!);
        return { result: { jobId: job!.id, task: job!.task, state: 3 } };
      },
    },
  });
  const folder = await mkdtemp(join(tmpdir(), "millpond-trace-"));
  const lines = join(folder, "lines.jsonl");
  await writeFile(lines, "1\n2\n");
  after(async () => {
    server.stop();
    await rm(folder, { recursive: true });
  });

  const traceOf = async (args: readonly string[], env: Record<string, string>) => {
    sent.length = 0;
    const { code, stderr } = await runHere(args, { env: { ...env, MILLPOND_ADDRESS: server.address } });
    assert.equal(code, 0, stderr);
    return sent.map(({ traceContext }) => {
      if (!traceContext) return undefined;
      return [traceContext.traceparent, traceContext.tracestate, traceContext.baggage];
    });
  };

  for (const [args, jobs] of [
    [["submit", "echo", "--json", "1"], 1],
    [["run", "echo", "1"], 1],
    [["submit", "echo", "--json-lines", lines], 2],
    [["submit", "echo", "--json-lines", lines, "--wait"], 2],
  ] as const) {
    test(`puts its jobs into that trace: ${args.join(" ").replace(`${folder}/`, "")}`, async () => {
      assert.deepEqual(await traceOf(args, variables), Array(jobs).fill(Object.values(variables)));
      assert.deepEqual(await traceOf(args, {}), Array(jobs).fill(undefined));
      assert.deepEqual(await traceOf(args, { TRACEPARENT: "" }), Array(jobs).fill(undefined));
    });
  }
});
