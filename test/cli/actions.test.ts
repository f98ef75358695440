/** Commands that change jobs or look into one, against a server. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, suite, test } from "node:test";
import { connect } from "../../clients/typescript/index.ts";
import { runHere } from "./here.ts";
import { type Ended, start, outputOf } from "./run.ts";
import { until } from "../support/until.ts";
import { startMillpond, type TestServer } from "./server.ts";

const nowhere = "01990000-0000-7000-8000-00000000000f";

/** The one line of a command that must fail. */
function complaintOf({ code, stdout, stderr }: Ended): string {
  assert.equal(code, 1, stdout);
  assert.equal(stdout, "");
  assert.match(stderr, /^millpond: [^\n]*\n$/);
  return stderr.trimEnd();
}

suite("commands that act", () => {
  let server: TestServer;
  before(async () => {
    server = await startMillpond(["--store", "memory", "--log-level", "silent"]);
  });
  after(() => server.dispose());

  /** Commands of one client, which sees nothing of the others. */
  const as =
    (client: string) =>
    (...args: string[]) =>
      runHere(args, { env: { MILLPOND_ADDRESS: server.serving.grpc, MILLPOND_CLIENT: client } });
  const submitted = async (millpond: ReturnType<typeof as>, ...args: string[]) =>
    outputOf(await millpond("submit", ...args));
  /** A job that fails for good. */
  const dead = async (millpond: ReturnType<typeof as>, ...args: string[]) => {
    const id = await submitted(millpond, "fail", "--json", '{"reason": "nope", "message": "no way"}', ...args);
    await millpond("watch", id);
    return id;
  };
  const waiting = ["echo", "--json", "1", "--delay", "1h"];

  test("submit takes the options of a job, and job shows them", async () => {
    const millpond = as("options");
    const id = await submitted(
      millpond,
      ...["echo", "--json", "1", "--key", "invoice-4711", "--priority", "-5", "--delay", "1h", "--expires", "2h"],
      ...["--timeout", "90s", "--max-attempts", "7", "--label", "customer=17", "--label", "region=eu", "--discard"],
    );
    const shown = outputOf(await millpond("job", id));
    for (const line of [
      /^channel +none: its result is discarded$/m,
      /^key +invoice-4711$/m,
      /^labels +customer=17 region=eu$/m,
      /^priority +-5$/m,
      /^attempt +0 of at most 7$/m,
      /^timeout +90\.0 s$/m,
      /^not before +2/m,
      /^expires +2/m,
    ]) {
      assert.match(shown, line);
    }
    const { labels, timeoutMs, expiresAt, runAt } = JSON.parse(outputOf(await millpond("job", id, "--json")));
    assert.deepEqual({ labels, timeoutMs }, { labels: { customer: "17", region: "eu" }, timeoutMs: 90_000 });
    const betweenMs = new Date(expiresAt).getTime() - new Date(runAt).getTime();
    assert.ok(Math.abs(betweenMs - 3_600_000) < 60_000, `${betweenMs} ms apart`);
  });

  test("the same key is the same job, and with other content it is refused", async () => {
    const millpond = as("keys");
    const id = await submitted(millpond, ...waiting, "--key", "k");
    assert.equal(await submitted(millpond, ...waiting, "--key", "k"), id);
    const other = await millpond("submit", "echo", "--json", "2", "--key", "k");
    assert.match(complaintOf(other), /"k" belongs to job .*, which differs in input/);
  });

  test("what the server refuses of them is told with the field and the bound", async () => {
    const millpond = as("refused");
    const late = await millpond("submit", "echo", "--at", "2099-01-01");
    assert.match(complaintOf(late), /millpond: run_at: /);
    assert.match(complaintOf(await millpond("submit", "echo", "--timeout", "6d")), /millpond: timeout: /);
    assert.match(complaintOf(await millpond("run", "echo", "--timeout", "6d")), /millpond: timeout: /);
    assert.match(complaintOf(await millpond("submit", "echo", "--key", "a b")), /millpond: idempotency_key: /);
  });

  test("run prints what the task returns, and is refused and fails like a call", async () => {
    const millpond = as("runner");
    assert.equal(outputOf(await millpond("run", "echo", '{"a": [1]}')), '{"a":[1]}');
    const { state, outputType, output, cursor } = JSON.parse(outputOf(await millpond("run", "echo", "1", "--json")));
    assert.deepEqual(
      { state, outputType, output, cursor },
      { state: "SUCCEEDED", outputType: "json", output: 1, cursor: 0 },
    );
    const failing = ["run", "fail", '{"reason": "nope", "message": "no way"}'];
    assert.match(complaintOf(await millpond(...failing)), /job .* is DEAD: nope: no way$/);
    assert.match(complaintOf(await millpond("run", "ecko")), /no task is named "ecko"/);
    const { code, stdout } = await millpond(...failing, "--json");
    assert.equal(code, 1);
    assert.equal(JSON.parse(stdout).deadReason, "permanent");
  });

  test("run ends at its deadline, and the job with it; detached it goes on", async () => {
    const millpond = as("late");
    const sleeping = ["run", "sleep", '{"durationMs": 3600000}', "--deadline", "200ms"];
    assert.match(complaintOf(await millpond(...sleeping, "--id", nowhere)), /did not answer in time|deadline/);
    const watched = await millpond("watch", nowhere);
    assert.match(watched.stdout, /(DEAD|CANCELLED) {2}/);
    assert.equal(watched.code, 1);
    const id = "01990000-0000-7000-8000-00000000000e";
    complaintOf(await millpond(...sleeping, "--id", id, "--detach", "--channel", "later"));
    assert.match(outputOf(await millpond("job", id)), /^state +RUNNING$/m);
    outputOf(await millpond("cancel", id));
  });

  test("interrupting run cancels its job", async () => {
    const millpond = as("interrupted");
    const id = "01990000-0000-7000-8000-00000000000d";
    const env = { MILLPOND_ADDRESS: server.serving.grpc, MILLPOND_CLIENT: "interrupted" };
    const running = start(["run", "sleep", '{"durationMs": 3600000}', "--id", id], { env });
    const exited = once(running, "exit");
    await until(async () => (await millpond("job", id)).stdout.includes("RUNNING"));
    running.kill("SIGINT");
    await exited;
    assert.match((await millpond("watch", id)).stdout, /^CANCELLED {2}/m);
  });

  test("cancel tells what became of each job, with exit code 1 when one is not there", async () => {
    const millpond = as("canceller");
    const queued = await submitted(millpond, ...waiting);
    const running = await submitted(millpond, "sleep", "--json", '{"durationMs": 3600000}');
    await until(async () => outputOf(await millpond("job", running)).includes("RUNNING"));

    const text = outputOf(await millpond("cancel", queued, running));
    assert.match(text, new RegExp(`^${queued} +cancelled +CANCELLED$`, "m"));
    assert.match(text, new RegExp(`^${running} +stopping +RUNNING$`, "m"));
    const again = await millpond("cancel", queued, nowhere, "--json");
    assert.equal(again.code, 1);
    assert.deepEqual(
      JSON.parse(again.stdout).answers.map(({ kind }: { kind: string }) => kind),
      ["already_final", "not_found"],
    );
    assert.match((await millpond("watch", running)).stdout, /CANCELLED {2}attempt 1 of at most 4; cancelled: /);
  });

  test("cancel by a filter counts first, and leaves the rest alone", async () => {
    const millpond = as("filterer");
    await submitted(millpond, ...waiting, "--label", "customer=17");
    await submitted(millpond, ...waiting, "--label", "customer=17", "--label", "region=eu");
    const kept = await submitted(millpond, ...waiting, "--label", "customer=18");
    const filter = ["--task", "echo", "--label", "customer=17"];

    assert.equal(
      outputOf(await millpond("cancel", ...filter, "--dry-run")),
      "2 jobs would be cancelled; nothing was changed",
    );
    assert.equal(outputOf(await millpond("cancel", ...filter)), "2 jobs matched: 2 cancelled, 0 stopping");
    assert.match(outputOf(await millpond("job", kept)), /^state +QUEUED$/m);
    assert.equal(outputOf(await millpond("cancel", "--all")), "1 job matched: 1 cancelled, 0 stopping");
    assert.match(outputOf(await millpond("cancel", "--all")), /^0 jobs matched/);
  });

  test("dead list and dead show tell why jobs died, their attempts and their input", async () => {
    const millpond = as("shower");
    assert.match((await millpond("dead", "list")).stderr, /no dead letters/);
    const id = await dead(millpond, "--label", "customer=17");

    const listed = outputOf(await millpond("dead", "list", "--reason", "permanent", "--failure", "nope"));
    assert.match(listed, new RegExp(`^${id} +fail +\\d{4}-\\S+ \\S+ +permanent +1 +nope: no way$`, "m"));
    assert.match((await millpond("dead", "list", "--reason", "poison")).stderr, /no dead letters/);
    const [job] = JSON.parse(outputOf(await millpond("dead", "list", "--json"))).jobs;
    assert.deepEqual([job.id, job.deadReason, job.failure.reason], [id, "permanent", "nope"]);
    assert.equal(job.failure.stack, undefined); // lists are short

    const shown = outputOf(await millpond("dead", "show", id));
    assert.match(shown, /^dead because +permanent: /m);
    assert.match(shown, /^ +1 +failed +\d{4}-\S+ \S+ +\S+ ms +nope: no way$/m);
    assert.match(shown, /^ +TaskError: no way\n +at .*tasks\/fail\./m);
    assert.match(shown, /^input +\{"reason":"nope","message":"no way"\}$/m);
    assert.match(shown, new RegExp(`millpond dead redrive ${id}$`));
    const whole = JSON.parse(outputOf(await millpond("dead", "show", id, "--json")));
    assert.equal(whole.input.reason, "nope");
    assert.equal(whole.history[0].outcome, "failed");
    assert.match(whole.history[0].failure.stack, /^TaskError: no way\n/);

    const other = await submitted(millpond, ...waiting);
    assert.match(
      complaintOf(await millpond("dead", "show", other)),
      /is QUEUED and not a dead letter: see millpond job/,
    );
    assert.match(complaintOf(await millpond("dead", "show", nowhere)), /no job "01990000/);
  });

  test("dead redrive runs jobs again, and refuses those that are not dead", async () => {
    const millpond = as("redriver");
    const id = await dead(millpond);
    assert.equal(outputOf(await millpond("dead", "redrive", "--all", "--dry-run")).slice(0, 6), "1 job ");
    assert.match(outputOf(await millpond("dead", "redrive", id)), new RegExp(`^${id} +queued again +`, "m"));
    await millpond("watch", id);
    const { redrives, history } = JSON.parse(outputOf(await millpond("job", id, "--json")));
    assert.deepEqual([redrives, history.length], [1, 2]);
    assert.equal(
      outputOf(await millpond("dead", "redrive", "--task", "fail", "--per-second", "5")),
      "1 job matched: 1 queued again",
    );

    const queued = await submitted(millpond, ...waiting);
    assert.match(complaintOf(await millpond("dead", "redrive", queued)), /is QUEUED: only DEAD jobs can be redriven/);
    const several = await millpond("dead", "redrive", queued, nowhere);
    assert.equal(several.code, 1);
    assert.match(several.stdout, /not dead +QUEUED\n.*no such job +-\n/);
  });

  test("dead delete removes jobs for good", async () => {
    const millpond = as("deleter");
    const [first, second] = [await dead(millpond), await dead(millpond)] as const;
    assert.match(outputOf(await millpond("dead", "delete", first)), new RegExp(`^${first} +deleted`, "m"));
    assert.match(complaintOf(await millpond("job", first)), /no job/);
    assert.match(outputOf(await millpond("dead", "delete", "--all", "--dry-run")), /^1 job would be deleted/);
    assert.equal(outputOf(await millpond("dead", "delete", "--reason", "permanent")), "1 job matched: 1 deleted");
    assert.match(complaintOf(await millpond("job", second)), /no job/);
    const queued = await submitted(millpond, ...waiting);
    assert.match(complaintOf(await millpond("dead", "delete", queued)), /is QUEUED: only final jobs can be deleted/);
  });

  test("watch follows a job to its end, and says how it ended", async () => {
    const millpond = as("watcher");
    const id = await submitted(millpond, "sleep", "--json", '{"durationMs": 300}');
    const { code, stdout } = await millpond("watch", id);
    assert.equal(code, 0);
    assert.match(stdout, /^SUCCEEDED {2}attempt 1 of at most 4; \{.*\}$/m);
    const [last] = (await millpond("watch", id, "--json")).stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.equal(last.kind, "job");
    assert.equal(last.job.result.state, "SUCCEEDED");
    assert.match(complaintOf(await millpond("watch", nowhere)), /no job/);
  });

  test("explain says in a sentence and in fields why a job is not running", async () => {
    const millpond = as("asker");
    const id = await submitted(millpond, ...waiting);
    const text = outputOf(await millpond("explain", id));
    assert.match(text, /^why +\S.{10,}$/m);
    assert.match(text, /^cause +delayed$/m);
    assert.match(text, /^not before +\d{4}-/m);
    assert.match(text, /^ahead +0$/m);
    assert.match(text, /^pool +runs 0 now, has \d workers?$/m);
    const ended = outputOf(await millpond("explain", await dead(millpond)));
    assert.match(ended, /^cause +final$/m);
    assert.match(ended, /^last failure +nope: no way$/m);
    assert.doesNotMatch(ended, /^(?:ahead|pool) /m, "what says nothing of a job that does not wait");
    const { cause, state, ahead } = JSON.parse(outputOf(await millpond("explain", id, "--json")));
    assert.deepEqual({ cause, state, ahead }, { cause: "delayed", state: "QUEUED", ahead: 0 });
    assert.match(complaintOf(await millpond("explain", nowhere)), /no job/);
  });
});

test("drain makes the server refuse jobs, and --wait tells whether anything still runs", async (t) => {
  const server = await startMillpond(["--store", "memory", "--log-level", "silent"]);
  t.after(() => server.dispose());
  const millpond = (...args: string[]) => runHere(args, { env: { MILLPOND_ADDRESS: server.serving.grpc } });
  await millpond("submit", "echo", "--json", "1", "--delay", "1h");
  assert.equal(outputOf(await millpond("drain")), "draining: 0 running, 1 queued");
  assert.deepEqual(JSON.parse(outputOf(await millpond("drain", "--wait", "--json"))), { running: 0, queued: 1 });
  await using client = connect({ address: server.serving.grpc, retries: 0 });
  await assert.rejects(client.submit("echo", 1), { reason: "draining" });
  assert.match(outputOf(await millpond("jobs")), /QUEUED/);
});
