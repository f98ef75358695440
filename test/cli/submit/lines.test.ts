/** A job for each line of a file, against a server. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { runHere } from "../here.ts";
import { startMillpond, type TestServer } from "../server.ts";

suite("submit --json-lines", () => {
  let server: TestServer;
  before(async () => {
    const pools = "{cpu: {workers: 1}, io: {workers: 1, maxQueued: 100}}";
    server = await startMillpond(["--store", "memory", "--log-level", "silent", "--pools", pools]);
  });
  after(() => server.dispose());

  let files = 0;
  const millpond = (client: string, ...args: string[]) =>
    runHere(args, { env: { MILLPOND_ADDRESS: server.serving.grpc, MILLPOND_CLIENT: client } });
  /** With a file of these lines. */
  const submit = async (client: string, input: string, ...args: string[]) => {
    const file = join(server.folder, `${++files}.jsonl`);
    await writeFile(file, input);
    return await millpond(client, "submit", ...args, "--json-lines", file);
  };
  const linesOf = (text: string) => text.trimEnd().split("\n");
  const parsed = (text: string) => linesOf(text).map((line) => JSON.parse(line));

  test("each line is a job; their ids come in the order of the lines, and empty lines are passed over", async () => {
    const input = '{"n": 1}\n\n"two"\r\n3';
    const { code, stdout, stderr } = await server.as("ids", ["submit", "echo", "--json-lines", "-"], { input });

    assert.deepEqual([code, stderr], [0, ""]);
    const ids = linesOf(stdout);
    assert.equal(ids.length, 3);
    const inputs = [];
    for (const id of ids) {
      const { stdout: job } = await millpond("ids", "watch", id, "--json");
      inputs.push(parsed(job).at(-1).job.result.output);
    }
    assert.deepEqual(inputs, [{ n: 1 }, "two", 3]);
  });

  test("a bad line is named, the others are submitted, and the exit code says so", async () => {
    const { code, stdout, stderr } = await submit("bad", '1\n{"a": \n3\n', "echo");

    assert.equal(code, 1);
    assert.equal(linesOf(stdout).length, 2);
    assert.match(stderr, /^millpond: line 2: is not JSON: [^\n]+\n$/);
  });

  test("a line that the server refuses is named with the field", async () => {
    const lines = '{"durationMs": 1}\n{"duratoinMs": 1}\n';
    const { code, stdout } = await submit("refused", lines, "sleep", "--json");

    assert.equal(code, 1);
    const [first, second] = parsed(stdout);
    assert.equal(first.line, 1);
    assert.match(first.jobId, /^[0-9a-f-]{36}$/);
    assert.equal(second.line, 2);
    assert.equal(second.refusal.reason, "invalid_argument");
    assert.match(second.refusal.message, /duratoinMs/);
  });

  test("a full queue makes the command wait and not fail", async () => {
    const input = Array.from({ length: 300 }, () => '{"durationMs": 1}\n').join("");
    const { code, stdout, stderr } = await submit("full", input, "sleep");

    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(new Set(linesOf(stdout)).size, 300);
  });

  test("with --key the same file submitted again is the same jobs", async () => {
    const once = await submit("keys", "1\n2\n", "echo", "--key", "nightly");
    const again = await submit("keys", "1\n2\n3\n", "echo", "--key", "nightly");

    assert.deepEqual(linesOf(again.stdout).slice(0, 2), linesOf(once.stdout));
    assert.equal(linesOf(again.stdout).length, 3);
  });

  test("--wait shows how each line ended, then the totals, and the exit code is 1 unless all succeeded", async () => {
    const file = join(server.folder, "fail.jsonl");
    await writeFile(file, '{"times": 1, "message": "soon"}\n{"reason": "nope", "message": "no way"}\nnonsense\n');
    const { code, stdout, stderr } = await millpond("wait", "submit", "fail", "--json-lines", file, "--wait");

    assert.equal(code, 1);
    const [head, ...rows] = linesOf(stdout);
    assert.match(head ?? "", /^ +LINE {2}STATE +OUTPUT OR FAILURE$/);
    const states = Object.fromEntries(rows.map((row) => row.trim().split(/ +/).slice(0, 2)));
    assert.deepEqual(states, { 1: "SUCCEEDED", 2: "DEAD" });
    assert.match(stderr, /line 3: is not JSON/);
    assert.match(stderr, /\n2 of 2 jobs ended: 1 succeeded, 1 dead, 1 line refused; [^\n]+\n$/);
  });

  test("--wait with --json prints a result for each line, for programs", async () => {
    const input = Array.from({ length: 1_200 }, (_, n) => `${n}\n`).join("");
    const args = ["submit", "echo", "--json-lines", "-", "--wait", "--json"];
    const { code, stdout } = await server.as("many", args, { input });

    assert.equal(code, 0);
    const results = parsed(stdout);
    assert.equal(results.length, 1_200);
    for (const { line, output, state } of results) assert.deepEqual([output, state], [line - 1, "SUCCEEDED"]);
  });

  test("--wait with --key and --channel yields the results of jobs that ended before", async () => {
    const args = ["echo", "--wait", "--json", "--key", "batch-7", "--channel", "batch-7"];
    const [once, again] = [await submit("again", "1\n2\n", ...args), await submit("again", "1\n2\n", ...args)];

    const jobs = (text: string) => Object.fromEntries(parsed(text).map(({ line, jobId }) => [line, jobId]));
    assert.equal(again.code, 0);
    assert.deepEqual(jobs(again.stdout), jobs(once.stdout));
  });

  test("flags that mean one job, or another input, are refused", async () => {
    for (const flags of [
      ["--id", "x"],
      ["--file", "x"],
      ["--json", "1"],
      ["--wait", "--discard"],
      ["--wait", "--key", "k"],
    ]) {
      const { code, stdout, stderr } = await submit("flags", "1\n", "echo", ...flags);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, /^millpond: --(json-lines|key) .*(leave one out|name a channel, the same one each time)/);
    }
  });

  test("a file that is not UTF-8, and one that is not there, are refused with what to do", async () => {
    const file = join(server.folder, "latin1.jsonl");
    await writeFile(file, Buffer.from('"caf\xe9"\n', "latin1"));
    const latin1 = await millpond("odd", "submit", "echo", "--json-lines", file);
    const missing = await millpond("odd", "submit", "echo", "--json-lines", `${file}.not`);

    assert.equal(latin1.code, 2);
    assert.match(latin1.stderr, /not UTF-8: convert them/);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /the input cannot be read: .*ENOENT/);
  });
});
