/** What a program sees of a server that is killed and started again on the same port. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, newJobId } from "../../../clients/typescript/index.ts";
import { startMillpond } from "../../cli/server.ts";
import { until } from "../../support/until.ts";

const tasks = fileURLToPath(new URL("../../jaeger/tasks/", import.meta.url));

test("run and watch go on with the same job when their server is killed", async (t) => {
  const flags = ["--log-level", "silent", "--tasks-dir", tasks];
  const first = await startMillpond(flags);
  t.after(() => first.dispose());
  const retrying = { retries: 1_000, deadlineMs: 60_000, random: () => 0.02 }; // at most 100 ms between two tries
  await using client = connect({ address: first.serving.grpc, client: "a", ...retrying });
  const id = newJobId();
  const path = join(first.folder, "go-on");
  const running = client.run("stuck", { path }, { id });
  const isRunning = async () => {
    const job = await client.getJob(id).catch(() => undefined);
    return job?.state === "RUNNING";
  };
  await until(isRunning);
  const seen: string[] = [];
  const watching = (async () => {
    for await (const update of client.watch(id)) {
      if (update.kind === "job") seen.push(`${update.job.state} ${update.job.attempts}`);
      if (seen.length === 1) void first.signal("SIGKILL");
    }
  })();
  await first.ended;
  writeFileSync(path, "");
  const again = ["--data-dir", first.folder, "--grpc-port", first.serving.grpc.split(":")[1] as string];
  const second = await startMillpond([...flags, ...again]);
  t.after(() => second.dispose());

  const result = await running;
  await watching;
  assert.deepEqual([result.jobId, result.state, result.attempts], [id, "SUCCEEDED", 2]);
  assert.equal(seen[0], "RUNNING 1");
  assert.equal(seen.at(-1), "SUCCEEDED 2");
  const { history } = await client.getJob(id);
  assert.deepEqual(
    history.map(({ number, outcome }) => [number, outcome]),
    [[1, "lost"]],
  );
});
