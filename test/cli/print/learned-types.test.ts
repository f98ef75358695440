/** Messages of users' tasks, whose types only the server knows, are shown as what they hold. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { createConnection } from "../../../clients/typescript/index.ts";
import { learnTypes } from "../../../src/cli/print/learned-types.ts";
import { outputAsText } from "../../../src/cli/print/output.ts";
import { runHere } from "../here.ts";
import { outputOf } from "../run.ts";
import { startMillpond, type TestServer } from "../server.ts";

/** A type of its own for each command, for what one has learned is known to all of this process. */
const commands = ["run", "wait", "lines", "results", "job", "watch", "dead"] as const;

suite("a message of a type that only the server knows is shown by", () => {
  const folder = mkdtempSync(join(tmpdir(), "millpond-cli-"));
  let server: TestServer;
  before(async () => {
    const tasks = join(folder, "tasks");
    await mkdir(tasks);
    const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    for (const name of commands) {
      await writeFile(
        join(tasks, `${name}.mjs`),
        `import { fileOf, lastOf, messageOf } from ${url("../../rpc/reflection/described.ts")};
         import { defineTask, permanent } from ${url("../../../src/pool/task.ts")};
         const message = messageOf(lastOf([fileOf("${name}.proto", "own.${name}", ["Text"])]), "Text");
         export default defineTask({ name: "${name}", pool: "cpu", input: message, output: message, run(given) {
           if (given.text === "die") throw permanent("told_to", "die");
           return { text: given.text };
         }});`,
      );
    }
    server = await startMillpond(["--store", "memory", "--log-level", "silent", "--tasks-dir", tasks]);
  });
  after(async () => {
    await server?.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  const millpond = async (...args: string[]) =>
    outputOf(await runHere(args, { env: { MILLPOND_ADDRESS: server.serving.grpc, MILLPOND_CLIENT: "ada" } }));
  const shown = '{"text":"x"}';
  const input = ["--json", shown];

  test("run", async () => {
    assert.equal(await millpond("run", "run", shown), shown);
    const { outputType, output } = JSON.parse(await millpond("run", "run", shown, "--json"));
    assert.deepEqual({ outputType, output }, { outputType: "own.run.Text", output: { text: "x" } });
  });

  test("submit --wait, of one job and of many", async () => {
    assert.equal(await millpond("submit", "wait", ...input, "--wait"), shown);
    const file = join(folder, "lines.jsonl");
    await writeFile(file, `${shown}\n`);
    assert.ok((await millpond("submit", "lines", "--json-lines", file, "--wait")).includes(shown));
  });

  test("results", async () => {
    await millpond("submit", "results", ...input, "--wait", "--channel", "read");
    assert.ok((await millpond("results", "--channel", "read")).includes(shown));
  });

  test("job and watch", async () => {
    const job = await millpond("submit", "job", ...input);
    const watched = await millpond("submit", "watch", ...input);
    assert.ok((await millpond("watch", watched)).includes(shown));
    assert.ok((await millpond("results", "--channel", "default")).includes(shown)); // it has the other's result too
    assert.ok((await millpond("job", job)).includes(shown));
  });

  test("dead show, as an input", async () => {
    const id = await millpond("submit", "dead", "--json", '{"text": "die"}');
    await runHere(["watch", id], { env: { MILLPOND_ADDRESS: server.serving.grpc, MILLPOND_CLIENT: "ada" } });
    assert.match(await millpond("dead", "show", id), /^input +\{"text":"die"\}$/m);
  });

  test("its name and size, when its bytes do not fit the type, as those of another version", async () => {
    const value = Uint8Array.of(0x0a, 0x05, 0x78); // a text of five bytes, of which one is there
    const message = create(AnySchema, { typeUrl: "type.googleapis.com/own.run.Text", value });
    await learnTypes([message], () => createConnection({ address: server.serving.grpc, keepaliveMs: 0 }));
    assert.equal(outputAsText(message, 100), "own.run.Text, 3 bytes");
  });

  test("its name and size, when the server does not know it either, and is asked once", async () => {
    const message = create(AnySchema, { typeUrl: "type.googleapis.com/own.nobody.Text", value: new Uint8Array(3) });
    let asked = 0;
    const connect = () => {
      asked += 1;
      return createConnection({ address: server.serving.grpc, keepaliveMs: 0 });
    };
    await learnTypes([message, message], connect);
    await learnTypes([message], connect);
    assert.equal(outputAsText(message, 100), "own.nobody.Text, 3 bytes");
    assert.equal(asked, 1);
  });
});
