/**
 * Starts a script of this repository on the Node.js that package.json pins, whatever Node.js runs this file (18 or
 * newer), and installs the pinned packages first when node_modules does not hold them.
 *
 *     node .ci/set-up.mjs <script> [arguments]     runs the script
 *     node .ci/set-up.mjs --test [files, folders]  runs the tests, all of them or those named
 *     node .ci/set-up.mjs                          only installs
 *
 * Standard output belongs to the script alone; what this file says goes to standard error. Plain JavaScript without
 * packages, because it runs before there are any.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { basename, delimiter, join } from "node:path";
import { isatty } from "node:tty";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "node_modules", ".bin");
const isWindows = process.platform === "win32";

/** What folders under test/ must be called for `--test` without arguments to leave them to .ci/run. */
const slowTests = "docker|codegen|grpcurl|jaeger|package";

/** Compiled code that the processes and threads of the tests share: without it each takes about twice the time to start. */
const compiledTests = { NODE_COMPILE_CACHE: join(root, "node_modules", ".cache", "tests") };

if (!isInstalled()) install();
linkCommand();
start(process.argv.slice(2));

/** Whether npm's own record of node_modules agrees with package-lock.json, and that with package.json. */
function isInstalled() {
  const wanted = readJson("package-lock.json")?.packages;
  const present = readJson("node_modules/.package-lock.json")?.packages;
  const declared = readJson("package.json");
  if (wanted === undefined || present === undefined || pinnedNode() === undefined) return false;
  for (const kind of ["dependencies", "devDependencies"]) {
    if (JSON.stringify(sorted(declared[kind])) !== JSON.stringify(sorted(wanted[""][kind]))) return false;
  }
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    if (path === "" || (optional && present[path] === undefined)) return true; // binaries of other platforms
    return present[path]?.version === version && present[path].integrity === integrity;
  });
}

function install() {
  process.stderr.write("set-up: installing the packages of package-lock.json ... ");
  const startedAt = Date.now();
  const npm = npmCommand();
  const args = ["ci", "--include=dev", "--loglevel=error", "--no-audit", "--no-fund", "--no-progress"];
  const { status, error, stdout, stderr } = spawnSync(npm.file, [...npm.args, ...args], {
    cwd: root,
    encoding: "utf8",
    shell: npm.shell,
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 2 ** 26,
  });
  const took = `${((Date.now() - startedAt) / 1000).toFixed(1)} s`;
  if (status !== 0) {
    process.stderr.write(`npm ci failed after ${took}\n${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}\n`);
    process.exit(1);
  }
  if (pinnedNode() === undefined) {
    const version = readJson("package.json").devDependencies.node;
    process.stderr.write(
      `done in ${took}, but Node.js ${version} is missing: npm may not run install scripts, or has no build for ` +
        `${process.platform} ${process.arch}; see "allowScripts" in package.json\n`,
    );
    process.exit(1);
  }
  process.stderr.write(`done in ${took}\n`);
}

/** The npm that runs this script, else the one on the PATH. On Windows npm is a batch file, which needs a shell. */
function npmCommand() {
  const running = process.env.npm_execpath;
  const isNpm = running !== undefined && /^(npm|npx)-cli\.c?js$/.test(basename(running));
  if (!isNpm || !existsSync(running)) return { file: "npm", args: [], shell: isWindows };
  return { file: outsideNode(), args: [running.replace(/npx-cli/, "npm-cli")], shell: false };
}

/** A Node.js that does not lie in node_modules, where `npm ci` would remove it while it runs. */
function outsideNode() {
  const npmsOwn = process.env.npm_node_execpath;
  return npmsOwn !== undefined && existsSync(npmsOwn) ? npmsOwn : process.execPath;
}

/** The pinned runtime, where the package `node` puts it on each platform; undefined when it is not there. */
function pinnedNode() {
  return ["node.exe", "node"]
    .map((name) => join(root, "node_modules", "node", "bin", name))
    .find((path) => existsSync(path) && statSync(path).size > 1_000_000); // Windows has a small text beside node.exe
}

/** Lets `npx millpond` find this clone's own command at once; without it npx would first install the clone elsewhere. */
function linkCommand() {
  const link = join(bin, isWindows ? "millpond.cmd" : "millpond");
  if (existsSync(link)) return;
  try {
    if (isWindows) writeFileSync(link, '@node "%~dp0\\..\\..\\src\\launch.mjs" %*\r\n');
    else symlinkSync("../../src/launch.mjs", link);
  } catch {
    // another set-up made it at the same moment, or node_modules is read-only: only npx would miss it
  }
}

function start(given) {
  if (given.length === 0) return;
  const isTest = given[0] === "--test";
  const child = spawn(pinnedNode(), isTest ? testArguments(given.slice(1)) : given, {
    stdio: "inherit",
    env: { ...(isTest && compiledTests), ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` },
  });
  // A terminal sends Ctrl-C and its own end to the child itself: passing them on would make them two.
  const hasTerminal = isatty(0);
  for (const signal of ["SIGINT", "SIGHUP"]) process.on(signal, () => hasTerminal || child.kill(signal));
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("error", (error) => {
    process.stderr.write(`set-up: ${pinnedNode()} does not start: ${error.message}\n`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

/** Options go to Node.js as they are, files and folders narrow the run, nothing means everything but the slow tests. */
function testArguments(given) {
  const options = given.filter((argument) => argument.startsWith("-"));
  const named = given.filter((argument) => !argument.startsWith("-"));
  const files = named.map((path) => (path.endsWith(".ts") ? path : `${path.replace(/\/$/, "")}/**/*.test.ts`));
  const everything = ["test/*.test.ts", `test/!(${slowTests})/**/*.test.ts`];
  const reporter = new URL("reporter.ts", import.meta.url).href;
  // it also holds what tests wrote into temporary folders, and would grow without end
  if (files.length === 0) rmSync(compiledTests.NODE_COMPILE_CACHE, { recursive: true, force: true });
  return [
    "--test",
    "--test-concurrency=4", // a test waits about half of its time, on two cores
    "--test-timeout=180000",
    `--test-reporter=${reporter}`,
    ...options,
    ...(files.length > 0 ? files : everything),
  ];
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), "utf8"));
  } catch {
    return undefined; // missing or damaged: the caller installs
  }
}

function sorted(record = {}) {
  return Object.entries(record).sort(([a], [b]) => a.localeCompare(b));
}
