import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { assertRestored, runAtTerminal, withoutTerminal } from "../pseudo-terminal.ts";

const { href } = new URL("../../../src/cli/print/screen.ts", import.meta.url);

/** A process that takes the screen and then runs this code, with `screen` in its hands. */
const withScreen = (code: string) =>
  runAtTerminal([
    "--input-type=module-typescript",
    "--eval",
    `import { openScreen } from "${href}";
    const { stdin, stdout } = process;
    const safe = (line) => line.replaceAll("evil", "safe");
    const screen = openScreen({ stdin, stdout, safe }, {
      onKey: (key) => key === "q" ? screen.close() : screen.draw([\`key \${key}.\`]),
      onRedraw: () => screen.draw([\`size \${screen.columns} \${screen.rows}.\`]),
      onGone: () => undefined,
    });
    ${code}`,
  ]);

suite("the screen", { skip: withoutTerminal }, () => {
  test("is given back when the process dies of an error, which is shown below", async () => {
    const run = withScreen(`setImmediate(() => { throw new Error("broken"); });`);
    assert.equal(await run.ended, 1);
    assertRestored(run);
    assert.match(run.output.slice(run.output.lastIndexOf("\u001b[?1049l")), /Error: broken/);
  });

  test("is given back when the process ends by itself", async () => {
    const run = withScreen(`process.exit(3);`);
    assert.equal(await run.ended, 3);
    assertRestored(run);
  });

  test("names keys, says when the size changes and when it must be drawn again", async () => {
    const run = withScreen(`screen.draw(["evil line"]);`);
    let at = await run.wrote(/safe line/);
    for (const [keys, name] of [
      ["r", "r"],
      ["R", "r"],
      ["?", "\\?"],
      [" ", "space"],
      ["\t", "tab"],
      ["\u001b[Z", "shift-tab"],
      ["\u001b[A", "up"],
      ["\u001bOD", "left"],
      ["\u001b[6~", "pagedown"],
      ["\u0003", "ctrl-c"],
      ["\u001b", "escape"],
    ] as const) {
      run.press(keys);
      at = await run.wrote(new RegExp(`key ${name}\\.`), at);
    }
    run.resize(61, 17);
    at = await run.wrote(/size 61 17\./, at);
    run.signal("SIGCONT");
    at = await run.wrote(/\u001b\[\?1049h.*size 61 17\./s, at);
    run.press("q");
    assert.equal(await run.ended, 0, "nothing keeps the process alive");
    assertRestored(run);
  });

  test("shows as many lines as it has rows", async () => {
    const run = withScreen(`screen.draw(Array.from({ length: 99 }, (_, at) => "line" + at)); screen.close();`);
    assert.equal(await run.ended, 0);
    assert.match(run.output, /line23/);
    assert.doesNotMatch(run.output, /line24/);
  });
});
