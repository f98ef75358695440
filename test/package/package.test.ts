/**
 * The package as users have it: packed by npm, installed by npm in an empty folder, and used through `npx`, imports and the
 * compiler. Slow, as it compiles and installs: `npm test` leaves it out and .ci/run has it as a step.
 */
import assert from "node:assert/strict";
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { systemClock } from "../../src/clock.ts";
import { documents } from "../../src/rpc/front-page.ts";
import { version } from "../../src/version.ts";
import { codeBlocks } from "../docs/documents.ts";
import { installNode, run, runToEnd, serve, type Served } from "./commands.ts";
import { walkThrough } from "./first-task.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const tsc = join(root, "node_modules/typescript/bin/tsc");
/** The oldest that package.json allows, and one that it does not. */
const oldestNode = "24.15.0";
const tooOldNode = "22.12.0";

suite("the packed file, installed with npm,", () => {
  const folder = mkdtempSync(join(tmpdir(), "millpond-package-"));
  const packed = join(folder, `millpond-${version}.tgz`);
  const project = join(folder, "project");
  const installed = join(project, "node_modules/millpond");
  after(() => rmSync(folder, { recursive: true, force: true }));
  before(() => {
    run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: root });
    mkdirSync(project);
    writeFileSync(join(project, "package.json"), '{"private":true,"type":"module"}');
    run("npm", ["install", "--silent", packed], { cwd: project });
  });

  test("has what its manifest names, and no sources or tests", async () => {
    const { messages } = await publint({ pkgDir: installed, pack: false, level: "suggestion", strict: true });
    assert.deepEqual(messages, []);
    for (const path of ["test", "src/main.ts", ".ci"]) assert.ok(!existsSync(join(installed, path)), path);
  });

  test("has every document, protocol file and file of SQL that the repository has", () => {
    const wanted = globSync(["*.md", "LICENSE", "docs/**/*.{md,svg}", "proto/**/*.proto"], { cwd: root });
    for (const path of [...wanted, ...documents].filter((path) => path !== "CONTRIBUTING.md")) {
      assert.ok(existsSync(join(installed, path)), path);
    }
    for (const path of globSync("src/**/*.sql", { cwd: root }))
      assert.ok(existsSync(join(installed, "dist", path)), path);
  });

  test("has the types of all it offers, and none of them is any", () => {
    writeFileSync(
      join(project, "use.ts"),
      `import { defineTask, permanent } from "millpond";
       import { connect, type MillpondClient } from "millpond/client";
       export const greet = defineTask({ name: "greet", pool: "cpu", run: (_, ctx) => \`hello \${ctx.attempt}\` });
       export const client: MillpondClient = connect({ address: "127.0.0.1:7717" });
       type IsAny<T> = 0 extends 1 & T ? true : false;
       export const areAny: [IsAny<typeof permanent>, IsAny<typeof connect>, IsAny<typeof client>] = [false, false, false];
      `,
    );
    const options = ["--module", "nodenext", "--target", "esnext", "--strict", "--noEmit"];
    run(process.execPath, [tsc, ...options, "use.ts"], { cwd: project });

    // whoever tests with node:test has the types of Node.js
    writeFileSync(
      join(project, "use-testing.ts"),
      `import { defineTask } from "millpond";
       import { tryTask } from "millpond/testing";
       const tried = await tryTask(defineTask({ name: "greet", pool: "cpu", output: { type: "string" }, run: () => "hello" }));
       type IsAny<T> = 0 extends 1 & T ? true : false;
       export const isAny: IsAny<typeof tried> = false;
       export const output: string = await tried.run(null);
      `,
    );
    run(process.execPath, [tsc, ...options, "--types", "node", "use-testing.ts"], { cwd: project });
  });

  test("says its version and its commands", () => {
    assert.equal(run("npx", ["millpond", "--version"], { cwd: project }), `${version}\n`);
    assert.match(run("npx", ["millpond", "--help"], { cwd: project }), /Usage: millpond/);
  });

  suite("serves", () => {
    let server: Served;
    before(async () => {
      mkdirSync(join(project, "tasks"));
      writeFileSync(
        join(project, "tasks/follow-up.ts"),
        `import { defineTask } from "millpond";
         import { connect } from "millpond/client";
         export default defineTask({ name: "follow-up", pool: "io", run: () => typeof connect, check: () => [] });`,
      );
      server = await serve(installed, { cwd: project, args: ["--tasks-dir", "tasks"] });
    });
    after(() => server?.dispose());

    test("tasks that import it, to its command", () => {
      const output = run("npx", ["millpond", "run", "follow-up", "--address", server.grpc], { cwd: project });
      assert.equal(output, '"function"\n');
    });

    test("its built-in tasks, to its client", () => {
      const use = `import { connect, echo } from "millpond/client";
        await using client = connect({ address: "${server.grpc}" });
        const { state, output } = await client.run(echo, { hello: "pond" });
        console.log(state, JSON.stringify(output));`;
      const output = run(process.execPath, ["--input-type=module", "--eval", use], { cwd: project });
      assert.equal(output, 'SUCCEEDED {"hello":"pond"}\n');
    });
  });

  test("makes a project that can be served, tested and checked by the compiler, with all examples of docs/recipes.md", async () => {
    const shop = join(project, "shop");
    run("npx", ["millpond", "init", "shop"], { cwd: project });
    run("npm", ["install", "--silent", "--omit=dev"], { cwd: shop }); // as its container does
    const server = await serve(join(shop, "node_modules/millpond"), { cwd: shop });
    try {
      const args = ["millpond", "run", "greet", '{"name": "Ada"}', "--address", server.grpc];
      assert.equal(run("npx", args, { cwd: shop }), '{"greeting":"hello Ada"}\n');
    } finally {
      await server.dispose();
    }

    run("npm", ["install", "--silent"], { cwd: shop });
    run("npx", ["millpond", "task", "new", "hail", "--typed"], { cwd: shop });
    assert.match(run("npm", ["test"], { cwd: shop }), /pass 4$/m);
    const recipes = codeBlocks(readFileSync(join(root, "docs/recipes.md"), "utf8"), "ts");
    for (const [index, text] of recipes.entries()) writeFileSync(join(shop, `tasks/recipe-${index}.ts`), text);
    run(process.execPath, [tsc, "-p", "."], { cwd: shop });
  });

  test("takes a user through docs/first-task.md as the page says, in less than five minutes", async () => {
    const startedAt = systemClock.now();
    await walkThrough(folder);
    assert.ok(systemClock.now() - startedAt < 5 * 60_000, `it took ${systemClock.now() - startedAt} ms`);
  });

  test("runs on the oldest Node.js that package.json allows", async () => {
    const { engines } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    assert.equal(`>=${oldestNode}`, `${engines.node}.0`);
    const node = installNode(oldestNode, join(folder, oldestNode));
    const server = await serve(installed, { cwd: project, node });
    try {
      const launch = join(installed, "src/launch.mjs");
      assert.equal(run(node, [launch, "run", "echo", "1", "--address", server.grpc], { cwd: project }), "1\n");
    } finally {
      await server.dispose();
    }
  });

  test("says on an older one which it needs", () => {
    const node = installNode(tooOldNode, join(folder, tooOldNode));
    const says = `millpond needs Node.js 24.15 or newer and this is ${tooOldNode}: install one from https://nodejs.org\n`;
    const { status, stderr } = runToEnd(node, [join(installed, "src/launch.mjs"), "serve"], { cwd: project });
    assert.deepEqual([status, stderr], [1, says]);
  });
});
