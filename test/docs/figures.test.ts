/** docs/guarantees.md tells of the nemesis what docs/nemesis.json says, no more and no less. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { invariants } from "../nemesis/checker.ts";
import { faults } from "../nemesis/faults/all.ts";
import {
  type FaultRun,
  joinRuns,
  readPage,
  readRuns,
  renderFigures,
  type SimulationRun,
  withFigures,
} from "./figures.ts";
import { promises, renderPromises } from "./promises.ts";

const conditions = {
  command: "npm run --silent nemesis -- --seed 7 --json",
  at: "2026-01-02T03:04:05Z",
  cores: 2,
  seed: 7,
};
const simulation: SimulationRun = {
  ...{
    ...conditions,
    seeds: 300,
    seconds: 2,
    simulatedSeconds: 20_000,
    counts: { "outcome succeeded": 5 },
    violations: [],
  },
};

function run(name: string, more: object): FaultRun {
  const fault = { name, row: "N1", says: `it is ${name}`, ...more } as FaultRun["faults"][number];
  return { ...conditions, faults: [fault], violations: [] };
}

test("docs/guarantees.md has the figures of docs/nemesis.json", () => {
  assert.ok(readPage() === withFigures(readPage(), readRuns()), "run: node test/docs/figures.ts");
});

test("docs/nemesis.json tells of every fault, be it that it was skipped", () => {
  const told = new Set(readRuns().faults.flatMap((each) => each.faults.map(({ name }) => name)));
  assert.deepEqual([...told].toSorted(), faults.map(({ name }) => name).toSorted());
});

test("a line says how often, how many, what was wrong, the bound, and how to have it again", () => {
  const figures = { happened: 50, seconds: 9, measured: { restartP99Ms: 700 }, checked: {}, lossBelowPercent: 5.82 };
  const counts = { accepted: 12_345, executions: 13_000, results: 12_345 };
  const page = renderFigures({ faults: [run("a", { ...figures, counts, violationCount: 0 })], simulation });
  assert.match(
    page,
    /^\| N1 \| it is a \| 50 \| 12,345, 13,000, 12,345 \| 0 \| < 5\.9 % \| restart p99 ms 700 \| `--seed 7` \|$/m,
  );
  assert.match(
    page,
    /^\| N14 \| .* \| 300 seeds \| 5 attempts .* \| 0 \| < 1\.0 % \| crashes 0, .* 20,000 s .* in 2 s \|/m,
  );
});

test("what was skipped says why, and what was broken has no bound", () => {
  const broken = { happened: 3, seconds: 1, measured: {}, checked: {}, counts: {}, violationCount: 2 };
  const page = renderFigures({
    faults: [run("b", broken), run("c", { skipped: "strace is not installed" })],
    simulation,
  });
  assert.match(page, /it is b \| 3 \| 0, 0, 0 \| 2 \| none \|/);
  assert.match(page, /it is c \| skipped \| {2}\| {2}\| {2}\| strace is not installed \|/);
});

test("a promise says in which faults its invariants were asked, how often, and what was found", () => {
  const clean = { happened: 1, seconds: 1, measured: {}, counts: {}, violationCount: 0, checked: { I7: 200, I8: 99 } };
  const other = { ...clean, row: "N12", checked: { I14: 1, I13: 20 } };
  const broken = { ...run("b", other), violations: [{ invariant: "I13" }, { invariant: "I13" }] };
  const page = renderPromises([run("a", clean), broken, run("c", { skipped: "no root" })]);
  assert.match(page, /^\| 2\. At least once, bounded \| I7, I8, I14 \| N1, N12 \| 300 \| 0 \| < 1\.0 % \|$/m);
  assert.match(page, /^\| 10\. .* \| I13 \| N12 \| 20 \| 2 \| none \|$/m);
  assert.match(page, /^\| 4\. .* \| I4 \| {2}\| 0 \| 0 \| none \|$/m, "what was never asked proves nothing");
});

test("the promises are those of the page, and their invariants those of the checker", () => {
  const names = new Set(invariants.map(({ name }) => name));
  for (const { title, invariants: asked } of promises) {
    assert.ok(readPage().includes(`\n## ${title}\n`), title);
    for (const name of asked) assert.ok(name === "N11" || names.has(name), name);
  }
});

test("a fault that ran anew, once or in parts, takes the place of its former runs only", () => {
  const before = { faults: [run("a", { skipped: "1" }), run("b", { skipped: "2" })], simulation };
  const after = joinRuns(before, [run("a", { skipped: "3" }), run("a", { skipped: "4" })]);
  assert.deepEqual(
    after.faults.flatMap((each) => each.faults.map((fault) => ["skipped" in fault && fault.skipped])),
    [["2"], ["3"], ["4"]],
  );
  assert.throws(() => joinRuns(undefined, []), /simulation is missing/);
});
