/** Strings from outside reach a terminal by many ways, and by none of them do they steer it. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { connect } from "../../../clients/typescript/index.ts";
import { visible } from "../../../src/visible.ts";
import { runHere } from "../here.ts";
import { startMillpond } from "../server.ts";

/** Clears a screen as C1 and as C0, turns the direction, ends a line, colours, deletes. */
const evil = "a\u009b2Jb\u202ec\u2028d\u001b[31me\u007f\u0085\u2066";
const shown = "a\\u009b2Jb\\u202ec\\u2028d\\u001b[31me\\u007f\\u0085\\u2066";
/** A family, a red heart, and Persian with a joiner that keeps letters apart. */
const fine = "\u{1f469}\u200d\u{1f469}\u200d\u{1f467} \u2764\ufe0f \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645";

const unsafe = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]/;

const task = `
import { defineTask } from "millpond";
const evil = ${JSON.stringify(evil)};
export default defineTask({
  name: "nasty",
  pool: "cpu",
  description: evil,
  async run(input, ctx) {
    ctx.log.warn(evil, { [evil]: evil });
    ctx.progress(0.5, evil);
    if (input.fails) throw Object.assign(new Error(input.text), { code: evil });
    return { text: input.text, [evil]: evil };
  },
});
`;

/** A server with a task that says, returns and throws such strings. */
async function openServer(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), "millpond-nasty-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "nasty.ts"), task);
  const server = await startMillpond(["--store", "memory", "--tasks-dir", folder]);
  t.after(() => server.dispose());
  const env = { MILLPOND_ADDRESS: server.serving.grpc, MILLPOND_CLIENT: "a" };
  return { server, run: (...args: string[]) => runHere(args, { env }) };
}

suite("text from outside", () => {
  test("keeps joiners, variation selectors, tabs and line breaks, and shows what would steer", () => {
    assert.equal(visible(`${fine}\t\n${evil}`), `${fine}\t\n${shown}`);
    const json = JSON.stringify({ [evil]: evil, fine });
    assert.deepEqual(JSON.parse(visible(json)), { [evil]: evil, fine });
    assert.doesNotMatch(visible(json), unsafe);
  });

  test("steers no terminal, whichever command shows it, and is whole in JSON", async (t) => {
    const { server, run } = await openServer(t);
    const text = `${evil}${fine}`;
    const input = JSON.stringify({ text });
    const failing = JSON.stringify({ text, fails: true });
    await using client = connect({ address: server.serving.grpc, client: "a" });
    const good = await client.submit("nasty", { text });
    const dead = await client.submit("nasty", { text, fails: true }, { retry: { maxAttempts: 1 } });
    for (let isDone = false; !isDone; ) {
      const { state } = await client.getJob(dead);
      isDone = state === "DEAD" && (await client.getJob(good)).state === "SUCCEEDED";
    }

    const commands = [
      ["run", "nasty", input],
      ["run", "nasty", failing],
      ["submit", "nasty", "--json", input, "--wait"],
      ["submit", "nasty", "--json", failing, "--max-attempts", "1", "--wait"],
      ["results"],
      ["jobs"],
      ["job", good],
      ["job", dead],
      ["watch", good],
      ["watch", dead],
      ["dead", "list"],
      ["dead", "show", dead],
      ["tasks"],
      ["stats"],
      ["top", "--count", "1"],
      ["explain", dead],
    ];
    const mistakes = [
      ["submit", evil, "--json", "1"],
      ["submit", "nasty", "--json", evil],
      ["submit", "nasty", "--label", `${evil}=${evil}`],
      ["submit", "nasty", "--at", evil],
      ["results", "--channel", evil],
      ["jobs", "--state", evil],
      ["job", evil],
      ["cancel", evil],
      ["dead", "list", "--reason", evil],
      ["stats", "--interval", evil],
      ["stats", "--client", evil],
      ["stats", "--address", evil],
      ["stats", `--${evil}`],
      ["health", "--config", evil],
      ["health", "--http-host", evil],
      [evil],
    ];
    for (const args of [...commands, ...mistakes]) {
      const { stdout, stderr } = await run(...args);
      assert.doesNotMatch(stdout + stderr, unsafe, args.join(" "));
      assert.ok(stdout + stderr !== "", args.join(" "));
    }
    for (const args of commands) {
      if (args[0] === "submit") continue; // --json has its input there
      const { stdout } = await run(...args, "--json");
      assert.doesNotMatch(stdout, unsafe, args.join(" "));
      for (const line of stdout.trimEnd().split("\n")) JSON.parse(line);
    }
    const whole = JSON.parse((await run("run", "nasty", input, "--json")).stdout) as { output: object };
    assert.deepEqual(whole.output, { text, [evil]: evil });
    assert.ok((await run("run", "nasty", input)).stdout.includes(fine), "legitimate format characters survive");

    const { stderr: log } = await server.signal("SIGTERM");
    assert.match(log, /"a job died"/);
    assert.doesNotMatch(log, unsafe);
    assert.ok(log.includes(fine));
  });
});
