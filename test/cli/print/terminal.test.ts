import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { text as written } from "node:stream/consumers";
import { suite, test } from "node:test";
import { type Column, column, numbers, table } from "../../../src/cli/print/table.ts";
import { createTerminal, printable } from "../../../src/cli/print/terminal.ts";

const open = ({
  isTTY = false,
  exit = () => undefined,
}: {
  isTTY?: boolean;
  exit?: (exitCode: number) => void;
} = {}) => {
  const stream = () => Object.assign(new PassThrough(), { isTTY }) as unknown as NodeJS.WriteStream;
  const streams = { stdout: stream(), stderr: stream() };
  const stdin = Object.assign(new PassThrough(), { isTTY: false }) as unknown as NodeJS.ReadStream;
  return { ...streams, terminal: createTerminal({ ...streams, stdin, exit }) };
};

suite("status", () => {
  test("a person sees one line that changes and goes away, and a file gets nothing of it", async () => {
    for (const isTTY of [true, false]) {
      const { terminal, stderr } = open({ isTTY });
      for (const text of ["", "1 of 2", "2 of 2", "", ""]) terminal.status(text);
      stderr.end();
      assert.equal(await written(stderr), isTTY ? "\r\u001b[K1 of 2\r\u001b[K2 of 2\r\u001b[K" : "");
    }
  });
});

suite("tables", () => {
  test("columns are as wide as their widest cell, numbers stand to the right, lines have no trailing blanks", () => {
    const { terminal } = open();
    const columns: readonly Column<{ name: string; queued: number; note: string }>[] = [
      column("POOL", ({ name }) => name),
      numbers("QUEUED", ({ queued }) => queued),
      column("NOTE", ({ note }) => note),
    ];

    assert.deepEqual(
      table(terminal, columns, [
        { name: "cpu", queued: 5, note: "busy" },
        { name: "thumbnails", queued: 100_000, note: "" },
      ]),
      ["POOL        QUEUED  NOTE", "cpu              5  busy", "thumbnails  100000"],
    );
  });

  test("colours are for a person's eyes only and do not shift columns", (t) => {
    const colour = process.env.NO_COLOR;
    delete process.env.NO_COLOR;
    t.after(() => colour === undefined || (process.env.NO_COLOR = colour));
    const columns = [column("A", (row: string) => row, { style: () => "bad" }), numbers("B", () => 1)];
    const rows = ["x", "long"];

    const plain = table(open().terminal, columns, rows);
    const coloured = table(open({ isTTY: true }).terminal, columns, rows);

    assert.ok(plain.every((line) => !line.includes("\u001b")));
    assert.ok(coloured[1]?.includes("\u001b[31mx"));
    assert.deepEqual(
      coloured.map((line) => line.replace(/\u001b\[\d+m/g, "")),
      plain,
    );
  });

  test("what came from outside can neither break the line nor steer the terminal", () => {
    assert.equal(printable("a\r\n  b\u001b[2Jc\u202ed"), "a b\\u001b[2Jc\\u202ed");
    const [, row] = table(open().terminal, [column("A", () => "x\ny"), column("B", () => "z")], [0]);
    assert.equal(row, "x y  z");
  });
});

suite("a reader that has gone", () => {
  const broken = (code: string) => Object.assign(new Error(code), { code });

  test("ends a command quietly", () => {
    const exits: number[] = [];
    const { stdout, terminal } = open({ exit: (exitCode) => exits.push(exitCode) });

    terminal.endWithReader();
    stdout.emit("error", broken("EPIPE"));
    stdout.emit("error", broken("ENOSPC"));

    assert.deepEqual(exits, [0, 1]);
  });

  test("does not end a command that outlives it", () => {
    const { stdout } = open({ exit: () => assert.fail("it ended") });
    stdout.emit("error", broken("EPIPE"));
  });
});
