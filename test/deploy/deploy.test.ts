/** What holds for every file of deploy/. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { deploy, read, readOne, type Yaml, yamlFiles } from "./files.ts";

const { version } = JSON.parse(readFileSync(join(deploy, "..", "package.json"), "utf8"));

/** Values of `image`, however deep. */
function imagesIn(value: Yaml): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries<Yaml>(value).flatMap(([key, each]) =>
    key === "image" && typeof each === "string" ? [each] : imagesIn(each),
  );
}

suite("every file of deploy", () => {
  test("is YAML in which no key is there twice", () => {
    assert.ok(yamlFiles.length >= 9, yamlFiles.join());
    for (const path of yamlFiles) assert.ok(read(path).length > 0, path);
  });

  test("pins each image by a tag, and Millpond's by the version of this package", () => {
    const images = yamlFiles.flatMap((path) => read(path).flatMap(imagesIn));
    for (const image of images) assert.match(image, /^[a-z/]+:v?\d+\.\d+\.\d+$/);
    const own = images.filter((image) => image.startsWith("millpond:"));
    assert.deepEqual(new Set(own), new Set([`millpond:${version}`]));
    assert.equal(readOne("kubernetes/kustomization.yaml").images[0].newTag, version);
  });
});
