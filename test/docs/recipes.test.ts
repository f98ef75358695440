/** Holds the examples of docs/recipes.md to the server: it starts from each configuration, with the tasks beside it. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { parseConfig } from "../../src/config.ts";
import { enterFolder } from "../cli/here.ts";
import { loadHere } from "../support/samples.ts";
import { codeBlocks } from "./documents.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const page = readFileSync(join(root, "docs/recipes.md"), "utf8");

/** What the examples take from the environment. */
const env = { SMTP_PASSWORD: "secret" };

/** Loads the built-in tasks and those of a section with the section's configuration, as the server does at its start. */
async function load(t: TestContext, section: string) {
  const [yaml = ""] = codeBlocks(section, "yaml");
  const config = parseConfig({ file: { name: "millpond.yaml", text: yaml }, env: {}, flags: {}, cores: 2 });
  enterFolder(t);
  for (const folder of ["photos", "tasks"]) mkdirSync(folder);
  symlinkSync(join(root, "node_modules"), "node_modules");
  for (const [index, code] of codeBlocks(section, "ts").entries()) writeFileSync(`tasks/task-${index}.ts`, code);
  const loaded = await loadHere(new URL("../../src/tasks/", import.meta.url), {
    folders: config.tasksDir === null ? [] : [config.tasksDir],
    pools: Object.keys(config.pools),
    settings: config.tasks,
    resourceSettings: config.resources,
  });
  await loaded.stop();
  return { config, ...loaded };
}

suite("docs/recipes.md", () => {
  const sections = page.split(/^(?=## )/m).filter((section) => codeBlocks(section, "yaml").length > 0);

  for (const section of sections) {
    const title = section.slice(3, section.indexOf("\n"));
    test(`${title}: the server takes the configuration and the tasks`, async (t) => {
      Object.assign(process.env, env);
      assert.equal(codeBlocks(section, "yaml").length, 1, "one configuration for each section");
      const { tasks, ignored } = await load(t, section);
      assert.deepEqual(ignored, []);
      for (const [, task = ""] of section.matchAll(/millpond (?:submit|run) ([\w.]+)/g)) {
        assert.ok(tasks.has(task) || page.includes(`name: "${task}"`), task);
      }
    });
  }

  test("each kind of work that a pool is used for has a section", () => {
    const titles = [...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
    const kinds = ["Databases", "APIs with a rate limit", "Files", "Images", "Video", "Email", "Scraping", "Batches"];
    for (const kind of kinds) assert.ok(titles.includes(kind), kind);
    assert.ok(titles.includes("When not to use a worker pool"));
  });
});
