/**
 * Looks after the protocol. Run on the pinned Node.js:
 *
 *     protocol.ts write      generates src/gen from proto
 *     protocol.ts generated  fails when src/gen is not what proto generates
 *     protocol.ts lint       fails when proto breaks buf's STANDARD rules
 *     protocol.ts breaking   fails when proto breaks what clients of an earlier commit rely on
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bufPackage = createRequire(import.meta.url).resolve("@bufbuild/buf/package.json");

/** Our own part of the protocol; what lies in `src/vendor` is others' to change. */
const ours = "proto/millpond";

/**
 * The one exception: 0.1.0 went without the options that name packages of generated code in other languages, and
 * commits that lack them are compared without these. From then on they may not change.
 */
const firstPackageNames = {
  version: "v2",
  modules: [{ path: "proto" }],
  breaking: {
    use: ["FILE"],
    except: [
      "CSHARP_NAMESPACE",
      "GO_PACKAGE",
      "JAVA_MULTIPLE_FILES",
      "JAVA_PACKAGE",
      "PHP_NAMESPACE",
      "RUBY_PACKAGE",
    ].map((option) => `FILE_SAME_${option}`),
  },
};

type Verb = "write" | "generated" | "lint" | "breaking";

const verbs: Record<Verb, () => string[]> = {
  write: () => buf(root, "generate"),
  generated: () => inFolder((folder) => generatedProblems(root, folder)),
  lint: () => buf(root, "lint"),
  breaking: () => inFolder((folder) => breakingProblems(root, folder)),
};

if (import.meta.main) {
  const verb = process.argv[2] ?? "";
  const problems = isVerb(verb) ? verbs[verb]() : [`say one of: ${Object.keys(verbs).join(", ")}`];
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

function isVerb(text: string): text is Verb {
  return text in verbs;
}

/** Generates into an empty folder and says how `src/gen` of the repository differs from that. */
export function generatedProblems(repository: string, folder: string): string[] {
  const failed = buf(repository, "generate", "--output", folder);
  if (failed.length > 0) return failed;
  const different = differences(join(repository, "src", "gen"), join(folder, "src", "gen"));
  return different.map((difference) => `src/gen/${difference}: run npm run generate`);
}

/** How a folder differs from the one it should equal, file by file. */
export function differences(present: string, wanted: string): string[] {
  const paths = [present, wanted].flatMap((folder) => globSync("**/*.*", { cwd: folder }));
  return [...new Set(paths)].sort().flatMap((path) => {
    if (!existsSync(join(wanted, path))) return [`${path} should not be there`];
    if (!existsSync(join(present, path))) return [`${path} is missing`];
    const isEqual = readFileSync(join(present, path)).equals(readFileSync(join(wanted, path)));
    return isEqual ? [] : [`${path} is out of date`];
  });
}

/** Compares the protocol with that of an earlier commit, which is put into an empty folder. */
export function breakingProblems(
  repository: string,
  folder: string,
  say: (text: string) => unknown = (text) => process.stdout.write(text),
): string[] {
  const commit = earlierCommit(repository);
  if (commit === undefined || !isThere(repository, `${commit}:${ours}`)) {
    say("skipped: there is no earlier protocol to compare with\n");
    return [];
  }
  const archive = join(folder, "protocol.tar");
  const made = run(repository, "git", ["archive", "--output", archive, commit, ours]);
  const unpacked = run(folder, "tar", ["-xf", archive]);
  if (!made.isOk || !unpacked.isOk)
    return [`could not read the protocol of ${commit}: ${made.output}${unpacked.output}`];
  const config = namesPackages(folder) ? [] : ["--config", JSON.stringify(firstPackageNames)];
  return buf(repository, "breaking", "proto", "--against", join(folder, "proto"), ...config);
}

function namesPackages(folder: string): boolean {
  return globSync(`${ours}/**/*.proto`, { cwd: folder }).some((path) =>
    readFileSync(join(folder, path), "utf8").includes("option go_package"),
  );
}

/** What clients may rely on: the newest release, else main, else (where main is what is checked) the commit before. */
function earlierCommit(repository: string): string | undefined {
  const release = run(repository, "git", ["describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD~1"]);
  if (release.isOk) return release.output.trim();
  const commitOf = (name: string) =>
    run(repository, "git", ["rev-parse", "--verify", "--quiet", `${name}^{commit}`]).output.trim();
  const main = commitOf("main") || commitOf("origin/main");
  const isMain = main === commitOf("HEAD") && run(repository, "git", ["diff", "--quiet", "HEAD", "--", "proto"]).isOk;
  return (isMain ? commitOf("HEAD~1") : main) || undefined;
}

function isThere(repository: string, object: string): boolean {
  return run(repository, "git", ["cat-file", "-e", object]).isOk;
}

/** Runs buf in a folder; no problems, or what it printed. */
function buf(folder: string, ...args: readonly string[]): string[] {
  const { isOk, output } = run(folder, process.execPath, [join(dirname(bufPackage), "bin", "buf"), ...args]);
  return isOk ? [] : [`buf ${args[0]} failed\n${output}`];
}

function run(cwd: string, file: string, args: readonly string[]): { isOk: boolean; output: string } {
  const bin = join(root, "node_modules", ".bin"); // buf looks for protoc-gen-es on the PATH
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };
  const { status, stdout, stderr, error } = spawnSync(file, args, { cwd, env, encoding: "utf8" });
  return { isOk: status === 0, output: `${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}` };
}

function inFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "millpond-protocol-"));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
