import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./temporary-folder.ts";
import { breakingProblems, differences, generatedProblems } from "../../.ci/protocol.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("generated code that was changed, forgotten or left behind is named", (t) => {
  const [present, wanted] = [temporaryFolder(t), temporaryFolder(t)];
  for (const folder of [present, wanted]) mkdirSync(join(folder, "v1"));
  for (const [folder, path, text] of [
    [present, "v1/same.ts", "1"],
    [wanted, "v1/same.ts", "1"],
    [present, "v1/changed.ts", "by hand"],
    [wanted, "v1/changed.ts", "by buf"],
    [present, "v1/left.ts", ""],
    [wanted, "v1/new.ts", ""],
  ] as const) {
    writeFileSync(join(folder, path), text);
  }
  assert.deepEqual(differences(present, wanted), [
    "v1/changed.ts is out of date",
    "v1/left.ts should not be there",
    "v1/new.ts is missing",
  ]);
});

test("a proto that changed without its generated code is noticed", (t) => {
  const repository = copyOfProtocol(t);
  cpSync(join(root, "src/gen"), join(repository, "src/gen"), { recursive: true });
  change(repository, "// One field that breaks its contract.", "// Something else.");

  const problems = generatedProblems(repository, temporaryFolder(t));

  assert.deepEqual(problems, ["src/gen/millpond/v1/job_pb.ts is out of date: run npm run generate"]);
});

test("a protocol that clients of main cannot speak is refused, one that only grew is not", (t) => {
  const repository = copyOfProtocol(t);
  commitAll(repository);

  const said: string[] = [];
  assert.deepEqual(breakingProblems(repository, temporaryFolder(t), said.push.bind(said)), []);
  assert.match(said.join(), /no earlier protocol/);
  change(repository, "  string note = 2;", "  string note = 2;\n  string more = 3;");
  assert.deepEqual(breakingProblems(repository, temporaryFolder(t)), [], "a new field");
  change(repository, "  string note = 2;", "  string note = 4;");
  assert.match(breakingProblems(repository, temporaryFolder(t)).join(), /field "2"/);
});

test("packages of generated code may be named for the first time, and not be renamed", (t) => {
  const repository = copyOfProtocol(t);
  const named = 'option java_package = "io.millpond.v1";';
  const files = globSync("proto/millpond/**/*.proto", { cwd: repository }).map((path) => join(repository, path));
  const originals = files.map((path) => readFileSync(path, "utf8"));
  for (const path of files) writeFileSync(path, readFileSync(path, "utf8").replace(/^option .*\n/gm, ""));
  commitAll(repository);
  for (const [index, path] of files.entries()) writeFileSync(path, originals[index] as string);

  assert.deepEqual(breakingProblems(repository, temporaryFolder(t)), [], "named for the first time");

  commitAll(repository);
  change(repository, named, 'option java_package = "org.millpond.v1";');
  assert.match(breakingProblems(repository, temporaryFolder(t)).join(), /java_package/);
});

test("every file of the protocol names the package of its generated code in each language that needs one", () => {
  for (const path of globSync("proto/**/*.proto", { cwd: root })) {
    const options = [...readFileSync(join(root, path), "utf8").matchAll(/^option (\w+) = /gm)].map(([, name]) => name);
    assert.deepEqual(
      options,
      ["csharp_namespace", "go_package", "java_multiple_files", "java_package", "php_namespace", "ruby_package"],
      path,
    );
  }
});

test("only Millpond's own protocol lies in proto, so that generating the whole folder works", () => {
  assert.deepEqual(
    globSync("proto/**/*.proto", { cwd: root }).filter((path) => !path.startsWith("proto/millpond/")),
    [],
  );
});

function commitAll(repository: string): void {
  const git = (...args: readonly string[]) => execFileSync("git", args, { cwd: repository, stdio: "pipe" });
  git("init", "--initial-branch=main");
  git("add", ".");
  git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-m", "a protocol");
}

function copyOfProtocol(t: TestContext): string {
  const repository = temporaryFolder(t);
  for (const path of ["proto", "src/vendor", "buf.yaml", "buf.gen.yaml"]) {
    cpSync(join(root, path), join(repository, path), { recursive: true });
  }
  return repository;
}

function change(repository: string, from: string, to: string): void {
  const path = join(repository, "proto/millpond/v1/job.proto");
  const text = readFileSync(path, "utf8");
  assert.ok(text.includes(from), `${from} is in the proto`);
  writeFileSync(path, text.replace(from, to));
}
