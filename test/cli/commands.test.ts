import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { diskIsTooLarge, moreThanFreeMiB } from "../support/full-disk.ts";
import { runHere } from "./here.ts";
import { type Ended, type RunOptions, start, outputOf } from "./run.ts";
import { startMillpond, type TestServer } from "./server.ts";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const picture = fileURLToPath(new URL("../demo/pictures/cat.jpg", import.meta.url));

/** The one line of a command that must fail. */
function complaintOf({ code, stdout, stderr }: Ended): string {
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /^millpond: [^\n]*\n$/);
  return stderr.trimEnd();
}

suite("commands against a server", () => {
  let server: TestServer;
  before(async () => {
    server = await startMillpond(["--store", "memory", "--log-level", "silent"]);
  });
  after(() => server.dispose());

  /** Runs a command as this client: in this process, unless it reads its standard input. */
  const as = (client: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> => {
    if (options.input !== undefined) return server.as(client, args, options);
    return runHere(args, { env: { MILLPOND_ADDRESS: server.serving.grpc, MILLPOND_CLIENT: client, ...options.env } });
  };

  test("submit prints the id of the job, or JSON when it is asked for", async () => {
    assert.match(outputOf(await as("ids", ["submit", "echo", "--json", '{"a": 1}'])), uuid);
    const both = await as("ids", ["submit", "echo", "--json", '{"a": 1}', "--json"]);
    assert.match(JSON.parse(outputOf(both)).jobId, uuid);
    const without = await as("ids", ["submit", "echo", "--json"]);
    assert.match(JSON.parse(outputOf(without)).jobId, uuid);
  });

  test("submitting an id again is the same job", async () => {
    const id = "01990000-0000-7000-8000-000000000001";
    const args = ["submit", "echo", "--json", "1", "--id", id];
    assert.equal(outputOf(await as("again", args)), id);
    assert.equal(outputOf(await as("again", args)), id);
    assert.equal(JSON.parse(outputOf(await as("again", ["jobs", "--json"]))).jobs.length, 1);
  });

  test("submit --wait prints the result, whether the input was JSON, a file of JSON, a file of bytes or a pipe", async () => {
    const wait = (...args: string[]) => as("inputs", ["submit", "echo", "--wait", ...args]);
    const file = join(server.folder, "input.json");
    await writeFile(file, '{"from": "file"}');

    assert.equal(outputOf(await wait("--json", '[1, "x"]')), '[1,"x"]');
    assert.equal(outputOf(await wait("--json=-5")), "-5");
    assert.equal(outputOf(await wait("--json-file", file)), '{"from":"file"}');
    assert.equal(outputOf(await wait("--file", file)), "16 bytes");
    const piped = ["submit", "echo", "--wait", "--json-file", "-"];
    assert.equal(outputOf(await as("inputs", piped, { input: '{"from": "pipe"}' })), '{"from":"pipe"}');
    const { output, outputType, state } = JSON.parse(outputOf(await wait("--file", file, "--json")));
    assert.deepEqual(
      { output, outputType, state },
      { output: btoa('{"from": "file"}'), outputType: "bytes", state: "SUCCEEDED" },
    );
  });

  test("submit --wait says why a job failed, with exit code 1", async () => {
    const args = ["submit", "fail", "--wait", "--json", '{"reason": "nope", "message": "no\\nway"}'];

    assert.match(complaintOf(await as("failing", args)), /^millpond: job .* is DEAD: nope: no way$/);
    const { code, stdout } = await as("failing", [...args, "--json"]);
    assert.equal(code, 1);
    assert.equal(JSON.parse(stdout).failure.reason, "nope");
  });

  test("what the server refuses is one line that says what is wrong", async () => {
    const refusalOf = async (...args: string[]) => complaintOf(await as("refused", args));

    assert.match(
      await refusalOf("submit", "nosuch"),
      /no task is named "nosuch"; there are: [a-z., ]*echo, [a-z., ]*fail, image\.resize, sleep/,
    );
    assert.match(await refusalOf("submit", "image.resize", "--json", '{"widht": 1}'), /input.*widht/);
    assert.match(await refusalOf("submit", "echo", "--id", "x"), /\bid\b/);
    assert.match(await refusalOf("submit", "echo", "--channel", "a b"), /channel/);
    assert.match(await refusalOf("job", "01990000-0000-7000-8000-00000000000f"), /no job "01990000/);
    assert.match(await refusalOf("results", "--after", "5"), /cursor 5 is ahead of channel "default"/);
  });

  test("results prints a channel until it is acknowledged, and leaves other channels alone", async () => {
    const read = (...args: string[]) => as("reader", args);
    for (const input of ["1", "2"]) outputOf(await read("submit", "echo", "--wait", "--json", input, "--channel", "a"));
    outputOf(await read("submit", "echo", "--wait", "--json", "3", "--channel", "b"));

    const [title, ...rows] = outputOf(await read("results", "--channel", "a")).split("\n");
    assert.match(title as string, /^CURSOR  JOB +TASK +STATE +WAITED +RAN  OUTPUT OR FAILURE$/);
    assert.deepEqual(
      rows.map((row) => row.split(/ +/).slice(-1)[0]),
      ["1", "2"],
    );
    const [second] = outputOf(await read("results", "--channel", "a", "--after", "1", "--json", "--ack")).split("\n");
    assert.equal(JSON.parse(second as string).output, 2);
    const empty = await read("results", "--channel", "a");
    assert.deepEqual({ code: empty.code, stdout: empty.stdout }, { code: 0, stdout: "" });
    assert.match(empty.stderr, /no results/);
    assert.equal(JSON.parse(outputOf(await read("results", "--channel", "b", "--json"))).cursor, 1);
  });

  test("results --save writes what is bytes to files that are named after their jobs", async () => {
    const folder = join(server.folder, "saved");
    const input = JSON.stringify({ bytes: (await readFile(picture)).toString("base64"), width: 64 });
    const id = outputOf(await as("saver", ["submit", "image.resize", "--json", input]));
    outputOf(await as("saver", ["watch", id]));
    outputOf(await as("saver", ["submit", "echo", "--wait", "--json", "1"]));
    const saving = await as("saver", ["results", "--save", folder]);

    assert.ok(outputOf(saving).includes(join(folder, `${id}.jpg`)));
    assert.deepEqual(await readdir(folder), [`${id}.jpg`]);
    assert.deepEqual([...(await readFile(join(folder, `${id}.jpg`))).subarray(0, 3)], [0xff, 0xd8, 0xff]);
  });

  test("results --follow goes on with what becomes final", async () => {
    const env = { MILLPOND_ADDRESS: server.serving.grpc, MILLPOND_CLIENT: "follower" };
    const following = start(["results", "--follow", "--json"], { env });
    const received = following.stdout.setEncoding("utf8")[Symbol.asyncIterator]();
    for (const input of [1, 2]) {
      outputOf(await as("follower", ["submit", "echo", "--json", String(input)]));
      assert.equal(JSON.parse((await received.next()).value).output, input);
    }
    const exited = new Promise((resolve) => following.on("exit", (_, signal) => resolve(signal)));
    following.kill("SIGINT");
    assert.equal(await exited, "SIGINT");
  });

  test("job shows one job, and a client does not see those of others", async () => {
    const id = outputOf(await as("owner", ["submit", "echo", "--json", '"x"']));
    outputOf(await as("owner", ["submit", "echo", "--json", '"x"', "--id", id, "--wait"]));

    const shown = outputOf(await as("owner", ["job", id]));
    assert.match(shown, new RegExp(`^job +${id}\n`));
    assert.match(shown, /^state +SUCCEEDED$/m);
    assert.match(shown, /^result +"x"$/m);
    const { result, pool } = JSON.parse(outputOf(await as("owner", ["job", id, "--json"])));
    assert.deepEqual(
      { pool, output: result.output, attempts: result.attempts },
      { pool: "cpu", output: "x", attempts: 1 },
    );
    assert.match(complaintOf(await as("other", ["job", id])), /no job/);
  });

  test("jobs lists the newest first, by state, task and number", async () => {
    const lister = (...args: string[]) => as("lister", args);
    for (const input of ["1", "2", "3"]) outputOf(await lister("submit", "echo", "--json", input, "--wait"));
    await lister("submit", "fail", "--wait", "--json", '{"reason": "nope"}');
    const list = async (...args: string[]) => JSON.parse(outputOf(await lister("jobs", "--json", ...args))).jobs;

    assert.deepEqual(
      (await list("--limit", "2")).map(({ task }: { task: string }) => task),
      ["fail", "echo"],
    );
    assert.equal((await list("--task", "echo")).length, 3);
    assert.equal((await list("--state", "dead"))[0].failure.reason, "nope");
    assert.match(outputOf(await lister("jobs")), /fail +DEAD +1 .* nope\n/);
    assert.match((await lister("jobs", "--state", "queued")).stderr, /no such jobs/);
  });

  test("tasks lists what jobs may name", async () => {
    const text = outputOf(await as("any", ["tasks"]));
    assert.match(text, /^image\.resize +cpu +millpond\.tasks\.v1\.ImageResizeInput /m);
    assert.match(text, /^echo +cpu +JSON, bytes /m);
    const { tasks } = JSON.parse(outputOf(await as("any", ["tasks", "--json"])));
    assert.ok(tasks.some(({ name }: { name: string }) => name === "sleep"));
  });

  test("stats shows pools, tasks and the client's own traffic", async () => {
    outputOf(await as("counter", ["submit", "echo", "--wait", "--json", "1"]));

    const text = outputOf(await as("counter", ["stats"]));
    assert.match(text, /client counter: 1 accepted, 0 refused, no rate limit/);
    assert.match(text, /^your jobs: 0 running, 1 succeeded, 0 dead, 0 cancelled, 0 retries, 0 duplicates$/m);
    assert.match(text, /^p50\/p90\/p99: wait .* ms, run .* ms, in all .* ms$/m);
    assert.match(text, /^cpu +0 +100000 /m);
    assert.match(text, /SUSPECTS/);
    assert.match(text, /^echo +\d+ +0 /m);
    const { client, pools } = JSON.parse(outputOf(await as("counter", ["stats", "--json"])));
    assert.equal(client.accepted, 1);
    assert.ok(pools.length >= 2);
  });

  test("stats --watch goes on, and ends quietly when nobody reads any more", async () => {
    const env = { MILLPOND_ADDRESS: server.serving.grpc };
    const watching = start(["stats", "--watch", "--interval", "100", "--json"], { env });
    const exited = new Promise((resolve) => watching.on("exit", resolve));
    let complaints = "";
    watching.stderr.on("data", (chunk) => (complaints += chunk));
    const uptimes: number[] = [];
    for await (const chunk of watching.stdout.setEncoding("utf8")) {
      for (const line of String(chunk).trim().split("\n")) uptimes.push(JSON.parse(line).uptimeMs);
      if (uptimes.length >= 2) break; // which closes the pipe
    }

    assert.ok((uptimes[1] as number) > (uptimes[0] as number));
    assert.equal(await exited, 0);
    assert.equal(complaints, "");
  });

  test("health asks the HTTP port", async () => {
    const [, port] = server.serving.http.split(":") as [string, string];
    assert.equal(outputOf(await as("any", ["health"], { env: { MILLPOND_HTTP_PORT: port } })), "SERVING");
    assert.equal(JSON.parse(outputOf(await as("any", ["health", "--http-port", port, "--json"]))).serving, true);
  });

  test("health says why the server is not ready", { skip: diskIsTooLarge }, async (t) => {
    const full = await startMillpond(["--log-level", "silent", "--limits-disk-free-mib", String(moreThanFreeMiB)]);
    t.after(() => full.dispose());
    const [, port = ""] = full.serving.http.split(":");
    let { code, stderr } = await as("any", ["health", "--http-port", port]);
    while (code === 0) ({ code, stderr } = await as("any", ["health", "--http-port", port])); // it has not looked yet
    assert.match(
      stderr,
      /^millpond: the server is not ready \(http:\S+\/readyz\): the disk of the store has \d+ MiB free/,
    );
    assert.equal(outputOf(await as("any", ["health", "--alive", "--http-port", port])), "SERVING");
    const { reasons } = JSON.parse((await as("any", ["health", "--http-port", port, "--json"])).stdout);
    assert.equal(reasons[0].reason, "disk_full");
  });
});
