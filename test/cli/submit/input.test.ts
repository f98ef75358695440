/** What users write as JSON arrives as they wrote it, or is refused. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runHere } from "../here.ts";
import { outputOf } from "../run.ts";
import { startMillpond, type TestServer } from "../server.ts";

let server: TestServer;
before(async () => {
  server = await startMillpond(["--store", "memory", "--log-level", "silent"]);
});
after(() => server.dispose());

const millpond = (...args: string[]) => runHere(args, { env: { MILLPOND_ADDRESS: server.serving.grpc } });

async function jsonFile(bytes: Buffer | string): Promise<string> {
  const file = join(server.folder, "input.json");
  await writeFile(file, bytes);
  return file;
}

describe("a number that would be rounded is refused with its path, before anything is sent,", () => {
  const text = '{"order": [{"id": 9007199254740993}]}';
  const said = /order\[0\]\.id: 9007199254740993 would become 9007199254740992, .*: send it as a string\n$/;
  for (const [how, run] of [
    ["on the command line of submit", () => millpond("submit", "echo", "--json", text)],
    ["on that of run", () => millpond("run", "echo", text)],
    ["in a file", async () => millpond("submit", "echo", "--json-file", await jsonFile(text))],
  ] as const) {
    test(how, async () => {
      const { code, stdout, stderr } = await run();
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, said);
    });
  }

  test("in a line of many, and the others go on", async () => {
    const { code, stdout, stderr } = await millpond(
      "submit",
      "echo",
      "--json-lines",
      await jsonFile(`1\n${text}\n3\n`),
    );
    assert.deepEqual([code, stdout.trim().split("\n").length], [1, 2]);
    assert.match(stderr, /line 2.*order\[0\]\.id: 9007199254740993/);
  });
});

test("1e400 is refused, and does not become null", async () => {
  const { code, stderr } = await millpond("submit", "echo", "--json", "[0, 1e400]");
  assert.equal(code, 2);
  assert.match(stderr, /--json: \[1\]: 1e400 is too large, .*: send it as a string\n$/);
});

describe("a JSON file is read", () => {
  const text = '{"name": "Müller 🐈"}';
  for (const [how, bytes] of [
    ["in UTF-8", Buffer.from(text)],
    ["in UTF-8 with a byte order mark", Buffer.from(`\ufeff${text}`)],
    ["in UTF-16 with one, as PowerShell writes it", Buffer.from(`\ufeff${text}`, "utf16le")],
    ["in UTF-16 without one", Buffer.from(text, "utf16le")],
    ["in big-endian UTF-16", Buffer.from(`\ufeff${text}`, "utf16le").swap16()],
  ] as const) {
    test(how, async () => {
      const printed = outputOf(await millpond("submit", "echo", "--json-file", await jsonFile(bytes), "--wait"));
      assert.deepEqual(JSON.parse(printed), JSON.parse(text));
    });
  }
});

test("a JSON file in another encoding is refused, and not guessed at", async () => {
  const file = await jsonFile(Buffer.from('{"name": "Müller"}', "latin1"));
  const { code, stderr } = await millpond("submit", "echo", "--json-file", file);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /input\.json is neither UTF-8 nor UTF-16, .*: save it as UTF-8, or send it as bytes with --file\n$/,
  );
});
