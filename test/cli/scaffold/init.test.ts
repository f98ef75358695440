import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { parse } from "yaml";
import { projectFiles } from "../../../src/cli/scaffold/project.ts";
import { closeMs, configOf, msOf, needs, runs, type Yaml } from "../../deploy/files.ts";
import { enterFolder, runHere } from "../here.ts";
import { outputOf } from "../run.ts";

/** What `init --json` says. */
async function init(...args: readonly string[]) {
  const printed = outputOf(await runHere(["init", ...args, "--json"]));
  return JSON.parse(printed) as { files: { path: string; isKept: boolean }[]; next: string[] };
}

suite("init", () => {
  test("writes a task, its test, settings, a compose file and a package, and says how to go on", async (t) => {
    enterFolder(t);
    const { files, next } = await init("shop");
    const wanted = ["tasks/greet.ts", "tasks/greet.test.ts", "millpond.yaml", "compose.yaml", "package.json"];
    for (const path of wanted)
      assert.ok(
        files.some((file) => file.path === `shop/${path}` && !file.isKept),
        path,
      );
    const own = next.filter((command) => !command.startsWith("npm run build")); // of a clone that was not built yet
    assert.deepEqual(own.slice(0, 4), ["cd shop", "npm install", "npm test", "npx millpond serve"]);
  });

  test("an empty name of a folder is refused, and one with a space is quoted in what to do next", async (t) => {
    const folder = enterFolder(t);
    const { code, stderr } = await runHere(["init", ""]);
    assert.equal(code, 2);
    assert.match(stderr, /the folder is "": name one, or leave it out for the current folder/);
    assert.deepEqual(readdirSync(folder), []);
    assert.ok((await init("my shop's")).next.includes("cd 'my shop'\\''s'"));
  });

  test("says the same in lines for people", async (t) => {
    enterFolder(t);
    const lines = outputOf(await runHere(["init"]));
    assert.match(lines, /^wrote {2}tasks\/greet\.ts {2,}the task$/m);
    assert.match(lines, /^Next:\n(?: {2}\$ npm run build .*\n)? {2}\$ npm install\n/m);
  });

  test("what is there stays as it is, and is listed as kept", async (t) => {
    const folder = enterFolder(t);
    const mine = { "package.json": '{"type": "commonjs"}', "compose.yaml": "mine" };
    for (const [path, text] of Object.entries(mine)) writeFileSync(join(folder, path), text);
    const { files } = await init();
    assert.deepEqual(
      files.filter(({ isKept }) => isKept).map(({ path }) => path),
      ["package.json", "compose.yaml"],
    );
    for (const [path, text] of Object.entries(mine)) assert.equal(readFileSync(join(folder, path), "utf8"), text);
    assert.equal(JSON.parse(readFileSync(join(folder, "tasks/package.json"), "utf8")).type, "module");
    assert.ok((await init()).files.every(({ isKept }) => isKept));
  });

  test("its settings and the variables of its compose file are such as the server takes", async (t) => {
    const folder = enterFolder(t);
    await init();
    const { services, volumes }: Yaml = parse(readFileSync(join(folder, "compose.yaml"), "utf8"));
    const { environment, ports, stop_grace_period: stopPeriod, volumes: mounts, build } = services.millpond;
    const config = configOf(environment, readFileSync(join(folder, "millpond.yaml"), "utf8"));
    assert.equal(config.tasksDir, "./tasks");
    assert.deepEqual([config.grpc.host, config.http.host], ["0.0.0.0", "0.0.0.0"]);
    assert.deepEqual(
      ports,
      [config.grpc.port, config.http.port].map((port) => `127.0.0.1:${port}:${port}`),
    );
    assert.ok(msOf(stopPeriod) >= config.drainMs + config.graceMs + closeMs);
    assert.deepEqual(mounts, [`millpond-data:${config.dataDir}`]);
    assert.deepEqual(Object.keys(volumes), ["millpond-data"]);

    const { bin } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
    const started = build.dockerfile_inline.match(/node_modules\/millpond\/[^"]+/g);
    assert.deepEqual(started, Array(2).fill(`node_modules/millpond/${bin.millpond}`));
  });

  test("its compose file is what docker compose reads", {
    skip: needs(["docker", "compose", "version"]),
  }, async (t) => {
    const folder = enterFolder(t);
    await init();
    runs(["docker", "compose", "--file", join(folder, "compose.yaml"), "config", "--quiet"]);
  });

  test("a packed file that Millpond came from goes along, so that the project can be moved and built", async () => {
    const files = await projectFiles("shop", { kind: "file", path: "/elsewhere/millpond-0.1.0.tgz" });
    assert.deepEqual(files[0], {
      path: "millpond-0.1.0.tgz",
      what: "Millpond itself",
      copyOf: "/elsewhere/millpond-0.1.0.tgz",
    });
    const manifest = files.find(({ path }) => path === "package.json") as unknown as { readonly text: string };
    assert.equal(JSON.parse(manifest.text).dependencies.millpond, "file:millpond-0.1.0.tgz");
  });
});
