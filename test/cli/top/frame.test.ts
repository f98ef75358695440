import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { ServerSnapshot } from "../../../clients/typescript/index.ts";
import { frame, plainLines } from "../../../src/cli/top/frame.ts";
import { afterKey, type Choice, firstChoice } from "../../../src/cli/top/keys.ts";
import type { Shown } from "../../../src/cli/top/sections.ts";
import { clientRow, colourless, poolRow, snapshot, taskRow } from "./shown.ts";

const measured = { p50: 1, p90: 20, p99: 345 };
const shownOf = (server: ServerSnapshot, clients = [server.client]): Shown => ({ server, clients });
const busy = shownOf(
  snapshot({
    pools: [
      poolRow("cpu", { queued: 5, running: 2, oldestAgeMs: 1200, dead: 3 }),
      poolRow("io", { queued: 70, running: 1, workers: 8, isBroken: true }),
    ],
    tasks: [
      taskRow("resize", { attemptsPerSecond: 12.5, failed: 4, queueWaitMs: measured, executionMs: measured }),
      taskRow("echo", { attemptsPerSecond: 100 }),
      taskRow("mail", { pool: "io", attemptsPerSecond: 1 }),
    ],
  }),
);
const tasks = (count: number) => Array.from({ length: count }, (_, at) => taskRow(`task${at}`, { failed: at }));
const many = shownOf(snapshot({ pools: [poolRow("cpu")], tasks: tasks(40) }));

type Options = { shown?: Shown; keys?: readonly string[]; columns?: number; rows?: number; silentMs?: number };

function show({ shown = busy, keys = [], columns = 120, rows = 24, silentMs = 0 }: Options = {}) {
  let choice: Choice = firstChoice;
  for (const key of keys) choice = afterKey(choice, key) ?? assert.fail(`${key} ended it`);
  return frame(colourless, { shown, choice, columns, rows, silentMs });
}

/** The lines of a table below its heading, with what it says about hidden rows; columns are parted by one space. */
function rowsOf(lines: readonly string[], title: string): string[] {
  const from = lines.findIndex((line) => line.slice(2).startsWith(title)) + 1;
  const end = lines.findIndex((line, at) => at >= from && (line === "" || / of \d+$/.test(line)));
  return lines.slice(from, lines[end] === "" ? end : end + 1).map((line) => line.trim().replace(/ +/g, " "));
}
const firstCells = (lines: readonly string[], title: string) => rowsOf(lines, title).map((row) => row.split(" ")[0]);

suite("a frame", () => {
  test("shows of each pool its queue and bound, workers, target, eligible jobs, oldest age, rate and dead letters", () => {
    const { lines } = show();
    assert.deepEqual(rowsOf(lines, "POOL"), [
      "io 70/1000 1/8 broken 2 0 - 1/s 0 0 0",
      "cpu 5/1000 2/2 2 0 1.2 s 113/s 3 0 0",
    ]);
  });

  test("shows of each task its rate, wait and run at p50 and p99, and failures", () => {
    const [, resize] = rowsOf(show().lines, "TASK");
    assert.match(resize ?? "", /^resize cpu 12\.5\/s 1 ms 345 ms 1 ms 345 ms 4 0$/);
  });

  test("shows of each client what was accepted and refused, its rate, limit, running jobs and wait", () => {
    const thumbs = { accepted: 100, refused: 2, acceptedPerSecond: 30, ratePerSecond: 50, running: 4, dead: 1 };
    const clients = [clientRow("idle"), clientRow("thumbs", { ...thumbs, queueWaitMs: measured })];
    const { lines } = show({ shown: shownOf(snapshot(), clients) });
    assert.deepEqual(rowsOf(lines, "CLIENT"), ["thumbs 100 2 30/s 50/s 4 345 ms 1", "idle 0 0 0/s - 0 - 0"]);
  });

  test("sums pools and tasks up in its first line", () => {
    assert.equal(show().lines[0], "up 60.0 s; 75 queued; 3 running; 114/s; store in memory");
  });

  test("sorts the chosen table by the column to the left or right, and the other way round", () => {
    assert.deepEqual(firstCells(show().lines, "POOL"), ["io", "cpu"]);
    assert.deepEqual(firstCells(show({ keys: ["r"] }).lines, "POOL"), ["cpu", "io"]);
    assert.deepEqual(firstCells(show({ keys: ["left"] }).lines, "POOL"), ["cpu", "io"]);
    assert.deepEqual(firstCells(show({ keys: ["right"] }).lines, "POOL"), ["cpu", "io"]);
    assert.deepEqual(firstCells(show({ keys: ["tab"] }).lines, "TASK"), ["echo", "resize", "mail"]);
    assert.deepEqual(firstCells(show({ keys: ["tab", "left", "left"] }).lines, "TASK"), ["echo", "mail", "resize"]);
  });

  test("marks the chosen table and the column that it is sorted by", () => {
    const headings = show({ keys: ["tab", "r"] }).lines.filter((line) => /POOL|TASK|CLIENT/.test(line));
    assert.match(headings[0] ?? "", /^ {2}POOL +QUEUED\/MAX↓ /);
    assert.match(headings[1] ?? "", /^> TASK +POOL +RATE↑ /);
  });

  test("is exactly as high as the screen, and never wider unless that has less than 24 columns, where the terminal cuts it", () => {
    const evil = shownOf(
      snapshot({ pools: [poolRow("cpu\u001b[2J".repeat(9))], tasks: [...tasks(30), taskRow("x".repeat(100))] }),
    );
    for (const rows of [1, 2, 5, 8, 12, 15, 24, 60]) {
      for (const columns of [4, 12, 24, 40, 60, 80, 120, 200]) {
        for (const keys of [[], ["tab"], ["tab", "tab"], ["?"], ["p"]]) {
          const { lines } = show({ shown: evil, keys, rows, columns, silentMs: 5000 });
          assert.equal(lines.length, rows);
          const widest = Math.max(...lines.map((line) => line.length));
          if (columns >= 24) assert.ok(widest <= columns, `${widest} characters on ${columns}:\n${lines.join("\n")}`);
        }
      }
    }
  });

  test("leaves out the least important columns of a narrow screen, and never the one it is sorted by", () => {
    const titles = (options: Options) => /> (.*)/.exec(show(options).lines.join("\n"))?.[1]?.trim().split(/ {2,}/);
    assert.deepEqual(titles({ columns: 50 }), ["POOL", "QUEUED/MAX↓", "RUNNING/WORKERS"]);
    assert.deepEqual(titles({ columns: 50, keys: ["left", "left"] }), ["POOL", "QUEUED/MAX", "CANCELLED↓"]);
  });

  test("says how many rows there are when not all fit, and scrolls the chosen table to the last and no further", () => {
    const keys = ["tab", "left", "left"];
    const { lines, scrollEnd } = show({ shown: many, keys });
    const shownAtOnce = rowsOf(lines, "TASK").length - 1;
    assert.equal(rowsOf(lines, "TASK").at(-1), `1 to ${shownAtOnce} of 40`);
    assert.equal(scrollEnd, 40 - shownAtOnce);

    const end = show({ shown: many, keys: [...keys, ...Array<string>(9).fill("pagedown")] });
    assert.equal(rowsOf(end.lines, "TASK").at(-1), `${scrollEnd + 1} to 40 of 40`);
    assert.deepEqual(rowsOf(show({ shown: many, keys: [...keys, "down", "up"] }).lines, "TASK"), rowsOf(lines, "TASK"));
  });

  test("shows the chosen table only when the screen is too low for all", () => {
    const low = show({ rows: 10, keys: ["tab"] }).lines.join("\n");
    assert.match(low, /TASK/);
    assert.doesNotMatch(low, /QUEUED\/MAX|CLIENT/);
  });

  test("says first of all that the server does not answer or that it is paused", () => {
    const [first] = show({ silentMs: 5000, keys: ["p"], columns: 60 }).lines;
    assert.match(first ?? "", /^no answer for 5\.0 s: reconnecting {2}paused {2}up /);
  });

  test("names the keys in its last line, and explains them after ?", () => {
    assert.match(show().lines.at(-1) ?? "", /^q quit .*\? help$/);
    const help = show({ keys: ["?"] }).lines;
    for (const word of ["shift-tab", "reverse", "Ctrl-C", "pause"]) assert.ok(help.join("\n").includes(word), word);
    assert.equal(help.at(-1), "press any key to return");
  });

  test("cannot be steered by names from outside", () => {
    const evil = "a\u001b[2J\u009bb\nc";
    const shown = shownOf(
      snapshot({
        pools: [poolRow(evil)],
        tasks: [taskRow(evil, { pool: evil })],
        client: clientRow(evil),
      }),
    );
    for (const line of show({ shown }).lines) assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f]/);
  });
});

test("a pipe gets every row of every table, whole", () => {
  const lines = plainLines(colourless, many);
  assert.equal(rowsOf(lines, "TASK").length, 40);
  assert.match(lines.find((line) => line.includes("QUEUED")) ?? "", /POOL.*CANCELLED$/);
  assert.doesNotMatch(lines.join("\n"), /quit/);
});
