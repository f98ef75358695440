import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { options } from "../../src/config/options.ts";
import { parseConfig } from "../../src/config.ts";
import { renderConfiguration } from "./configuration.ts";

const page = await readFile(new URL("../../docs/configuration.md", import.meta.url), "utf8");

test("docs/configuration.md says what the table of settings says", () => {
  assert.equal(page, renderConfiguration(), "run: node test/docs/configuration.ts > docs/configuration.md");
});

test("docs/configuration.md names every key, flag and variable, with its meaning", () => {
  for (const { key, flag, env, doc } of options) {
    for (const word of [key, flag, env, doc]) assert.ok(page.includes(word), `${word} is missing`);
  }
});

test("the example file in docs/configuration.md is a good one", () => {
  const text = /```yaml\n(?<yaml>.*?)```/s.exec(page)?.groups?.yaml;
  assert.ok(text);
  const config = parseConfig({ file: { name: "example", text }, env: {}, flags: {}, cores: 2 });
  assert.equal(config.pools.scrape?.maxWorkers, 25);
});
