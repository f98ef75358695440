/** The checker with real threads, whose checks do to them what they can. Only the clock is not real. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { pathToFileURL } from "node:url";
import type { MillpondError } from "../../../src/errors.ts";
import type { JsonValue } from "../../../src/job/job.ts";
import { createChecker, maxBytes, maxClientBytes } from "../../../src/pool/checker/checker.ts";
import type { CheckCall, CheckInput } from "../../../src/pool/checker/checks.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";
import { until } from "../../support/until.ts";

const checkMs = 1_000;

const ada: CheckCall = { client: "ada", signal: undefined };
const bob: CheckCall = { client: "bob", signal: undefined };

/**
 * Does what its input names; `begun` is the path of a file that says that the check has begun, and `list` that of one to
 * which the `name` is added. One that is slow takes longer than a turn.
 */
const source = `
import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { defineTask } from "millpond";
if (existsSync(new URL("./away", import.meta.url))) throw new Error("the database is away");
export default defineTask({
  name: "checked",
  pool: "cpu",
  check(input) {
    if (input.begun) writeFileSync(input.begun, "");
    if (input.list) appendFileSync(input.list, input.name + " ");
    if (input.do === "slow") for (const end = performance.now() + 20; performance.now() < end; );
    if (input.do === "loop") for (;;);
    if (input.do === "exit") process.exit(3);
    if (input.do === "later") setTimeout(() => { throw new Error("too late"); });
    if (input.do === "exit later") setTimeout(() => process.exit(4));
    return input.do === "refuse" ? [{ field: "do", description: "is refuse" }] : [];
  },
  run: () => 1,
});`;

async function tryChecker(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), "millpond-checker-"));
  const clock = createFakeClock();
  const { log, lines } = keptLog();
  const surroundings = { pools: ["cpu"], settings: {}, resourceSettings: {} };
  const checker = createChecker({ surroundings, loadMs: 60_000, checkMs, clock, log });
  t.after(async () => {
    await checker.stop();
    await rm(folder, { recursive: true });
  });
  const file = join(folder, "checked.ts");
  await writeFile(file, source);
  const reports = await checker.load([pathToFileURL(file).href]);
  assert.deepEqual(
    reports.map(({ kind }) => kind),
    ["task"],
  );
  return {
    ...{ checker, clock, lines, folder, begun: join(folder, "begun") },
    /** The reason for each input, null where nothing is wrong. */
    check: async (...inputs: readonly JsonValue[]) => (await checker.check(inputs.map(inputOf), ada)).map(reasonOf),
    checkFor: async (call: CheckCall, ...inputs: readonly JsonValue[]) =>
      (await checker.check(inputs.map(inputOf), call)).map(reasonOf),
    /** The names of the inputs in the order in which they were checked. */
    list: join(folder, "list"),
    checked: () => readFileSync(join(folder, "list"), "utf8").trim().split(" "),
    /** Until the check that says so has begun and has had its time. */
    async timeUp(begun: string) {
      await until(() => existsSync(begun));
      for (let look = 0; look < 6; look += 1) clock.advance(checkMs / 4);
    },
  };
}

const reasonOf = (error: MillpondError | null | undefined) => error?.reason ?? null;

function inputOf(value: JsonValue): CheckInput {
  return { task: "checked", input: { kind: "json", type: "", bytes: new TextEncoder().encode(JSON.stringify(value)) } };
}

suite("checks of users' tasks run in a thread of their own", () => {
  test("and each input gets its verdict, also beyond what is sent at once", async (t) => {
    const { check } = await tryChecker(t);
    const inputs = Array.from({ length: 600 }, (_, index) => ({ do: index % 200 === 7 ? "refuse" : "pass" }));
    const reasons = await check(...inputs);
    assert.deepEqual(
      [...reasons.keys()].filter((index) => reasons[index] !== null),
      [7, 207, 407],
    );
  });

  test("one that loops costs its own input only: others of its submit and other submits are checked", async (t) => {
    const { check, timeUp, begun, lines } = await tryChecker(t);
    const first = check({ do: "pass" }, { do: "loop", begun }, { do: "refuse" });
    const second = check({ do: "pass" });
    await timeUp(begun);
    assert.deepEqual(await second, [null]);
    assert.deepEqual(await first, [null, "check_failed", "invalid_argument"]);
    assert.match(JSON.stringify(lines), /it took longer than 1000 ms \(taskCheckMs\)/);
  });

  test("one that ends the thread costs its own input only", async (t) => {
    const { check } = await tryChecker(t);
    const first = check({ do: "pass" }, { do: "exit" }, { do: "refuse" });
    assert.deepEqual(await check({ do: "pass" }), [null]);
    assert.deepEqual(await first, [null, "check_failed", "invalid_argument"]);
  });

  test("a submit of which many end the thread is refused for the rest, to be tried again", async (t) => {
    const { checker } = await tryChecker(t);
    const errors = await checker.check(
      ["exit", "exit", "exit", "exit", "pass"].map((what) => inputOf({ do: what })),
      ada,
    );
    assert.deepEqual(errors.map(reasonOf), [...Array(3).fill("check_failed"), ...Array(2).fill("check_unavailable")]);
    assert.ok((errors[4]?.retryAfterMs ?? 0) > 0);
  });

  test("what a check leaves behind to throw later is logged once, with the file, and harms nobody", async (t) => {
    const { check, lines } = await tryChecker(t);
    await check({ do: "later" }, { do: "later" });
    await until(async () => {
      assert.deepEqual(await check({ do: "pass" }), [null]);
      return lines.length > 0;
    });
    assert.match(JSON.stringify(lines), /checked\.ts:\d+: something that it started threw: too late/);
    assert.equal(lines.length, 1);
  });

  test("a thread that ends outside of a check is replaced", async (t) => {
    const { check, lines } = await tryChecker(t);
    await check({ do: "exit later" });
    await until(async () => {
      await check({ do: "pass" });
      return lines.length > 0;
    });
    assert.deepEqual(await check({ do: "refuse" }), ["invalid_argument"]);
    assert.match(JSON.stringify(lines), /called process\.exit\(4\)/);
  });

  test("while the file cannot be loaded again jobs are refused to be tried again, and later checked again", async (t) => {
    const { checker, check, clock, folder, lines } = await tryChecker(t);
    await writeFile(join(folder, "away"), "");
    await check({ do: "exit" });
    const [error] = await checker.check([inputOf({ do: "pass" })], ada);
    assert.equal(error?.reason, "check_unavailable");
    assert.equal(error.retryAfterMs, 100);
    assert.match(JSON.stringify(lines), /the database is away/);
    assert.deepEqual(await check({ do: "pass" }), ["check_unavailable"], "the pause is not over");
    await rm(join(folder, "away"));
    clock.advance(100);
    assert.deepEqual(await check({ do: "refuse" }), ["invalid_argument"]);
  });

  test("inputs beyond the bound on those that wait are refused, to be tried again", async (t) => {
    const { checker, check, timeUp, begun } = await tryChecker(t);
    const large: CheckInput = { task: "checked", input: { kind: "data", type: "", bytes: new Uint8Array(maxBytes) } };
    const waits = check({ do: "loop", begun });
    const alsoWaits = checker.check([large], ada);
    assert.deepEqual(await check({ do: "pass" }), ["check_unavailable"]);
    await timeUp(begun);
    assert.deepEqual(await waits, ["check_failed"]);
    assert.deepEqual((await alsoWaits).map(reasonOf), [null]);
    assert.deepEqual(await check({ do: "pass" }), [null]);
  });

  test("a stop refuses what waits and ends a thread that loops", async (t) => {
    const { checker, check, begun } = await tryChecker(t);
    const waits = check({ do: "loop", begun }, { do: "pass" });
    await until(() => existsSync(begun));
    await checker.stop();
    assert.deepEqual(await waits, ["check_unavailable", "check_unavailable"]);
    assert.deepEqual(await check({ do: "pass" }), ["check_unavailable"]);
  });
});

suite("clients take turns", () => {
  const slow = (list: string, name: string | number) => ({ do: "slow", list, name });

  test("slow checks of many submits of one client do not hold up the submit of another", async (t) => {
    const { checkFor, checked, list } = await tryChecker(t);
    const many = Array.from({ length: 20 }, (_, index) => checkFor(ada, slow(list, index)));
    const other = checkFor(bob, { do: "pass", list, name: "bob" });
    await Promise.all([...many, other]);
    const place = checked().indexOf("bob");
    assert.ok(place <= 3, `${place} checks of the other came before`);
    assert.equal(checked().length, 21);
  });

  test("slow checks of one large submit do not hold up the submit of another client", async (t) => {
    const { checkFor, checked, list } = await tryChecker(t);
    const many = Array.from({ length: 20 }, (_, index) => slow(list, index));
    const [reasons] = await Promise.all([
      checkFor(ada, ...many.with(7, { do: "refuse", list, name: 7 })),
      checkFor(bob, { do: "pass", list, name: "bob" }),
    ]);
    assert.equal(checked().indexOf("bob"), 1, "after the first turn");
    assert.deepEqual(checked().toSpliced(1, 1), [...many.keys()].map(String));
    assert.equal(
      reasons.findIndex((reason) => reason !== null),
      7,
    );
  });

  test("a call that nobody waits for any more is not checked", async (t) => {
    const { checkFor, checked, list } = await tryChecker(t);
    const gone = new AbortController();
    const first = [checkFor(ada, slow(list, 0)), checkFor(ada, slow(list, 1))];
    const abandoned = checkFor({ client: "ada", signal: gone.signal }, { do: "pass", list, name: "abandoned" });
    const last = checkFor(ada, { do: "pass", list, name: "last" });
    gone.abort();
    assert.deepEqual(await abandoned, ["cancelled"]);
    await Promise.all([...first, last]);
    assert.deepEqual(checked(), ["0", "1", "last"]);
  });

  test("the rest of a large call that nobody waits for any more is not checked", async (t) => {
    const { checkFor, checked, list } = await tryChecker(t);
    const gone = new AbortController();
    const inputs = Array.from({ length: 300 }, (_, index) => ({ do: "pass", list, name: index }));
    const large = checkFor({ client: "ada", signal: gone.signal }, ...inputs);
    gone.abort();
    assert.ok((await large).slice(256).every((reason) => reason === "cancelled"));
    assert.ok(checked().length <= 256);
  });

  test("what waits for ten seconds without a check is refused, to be tried again", async (t) => {
    const { checker, checkFor, timeUp, begun, clock } = await tryChecker(t);
    const loops = checkFor(ada, { do: "loop", begun });
    const waits = checker.check([inputOf({ do: "pass" })], bob);
    await timeUp(begun);
    clock.advance(10_000);
    const [error] = await waits;
    assert.equal(error?.reason, "check_unavailable");
    assert.ok((error.retryAfterMs ?? 0) > 0);
    assert.deepEqual(await loops, ["check_failed"]);
    assert.deepEqual(await checkFor(bob, { do: "pass" }), [null]);
  });

  test("one client's inputs that wait leave room for those of others", async (t) => {
    const { checker, checkFor, timeUp, begun } = await tryChecker(t);
    const bytes = new Uint8Array(maxClientBytes);
    const loops = checkFor(ada, { do: "loop", begun });
    const waits = checker.check([{ task: "checked", input: { kind: "data", type: "", bytes } }], ada);
    assert.deepEqual(await checkFor(ada, { do: "pass" }), ["check_unavailable"]);
    const other = checkFor(bob, { do: "pass" });
    await timeUp(begun);
    assert.deepEqual(await other, [null]);
    assert.deepEqual(await loops, ["check_failed"]);
    assert.deepEqual((await waits).map(reasonOf), [null]);
  });
});
