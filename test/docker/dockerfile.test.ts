/** Slow, as it installs packages twice: `npm test` leaves it out and .ci/run has it as a step of its own. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { execForm, parseDockerfile, type Played, play } from "./dockerfile.ts";

const context = fileURLToPath(new URL("../../", import.meta.url));
const stages = parseDockerfile(readFileSync(join(context, "Dockerfile"), "utf8"));
const final = stages.at(-1);
assert.ok(final);

const folder = mkdtempSync(join(tmpdir(), "millpond-docker-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("nothing runs as root, and signals reach the server because no shell stands between", () => {
  assert.equal(final.steps.findLast(({ verb }) => verb === "USER")?.rest, "node");
  for (const verb of ["ENTRYPOINT", "CMD", "HEALTHCHECK"]) assert.ok(execForm(final, verb), `${verb} is in exec form`);
});

test("every stage starts from the Node.js version that is pinned", () => {
  const { devDependencies } = JSON.parse(readFileSync(join(context, "package.json"), "utf8"));
  const major = devDependencies.node.split(".")[0];
  assert.deepEqual(new Set(stages.map(({ image }) => image)), new Set([`node:${major}-slim`]));
});

test("what is copied is not ignored", () => {
  const kept = readFileSync(join(context, ".dockerignore"), "utf8")
    .split("\n")
    .map((line) => line.replace(/^!/, ""));
  const copied = stages
    .flatMap(({ steps }) => steps)
    .filter(({ verb, rest }) => verb === "COPY" && !rest.includes("--from="))
    .flatMap(({ rest }) => rest.split(" ").slice(0, -1));
  assert.deepEqual(
    copied.filter((path) => !kept.includes(path)),
    [],
  );
});

test("the image's own steps make a server that serves, is healthy, and stops when told to", async (t) => {
  const played = new Map<string, Played>();
  const path = `${dirname(process.execPath)}:${process.env.PATH ?? ""}`;
  for (const stage of stages) {
    const root = join(folder, stage.name);
    mkdirSync(root);
    played.set(stage.name, play(stage, { root, context, played, path }));
  }
  const image = played.get(final.name);
  assert.ok(image);

  assert.ok(existsSync(join(image.root, "data")), "the volume's folder is there");
  assert.ok(!existsSync(join(image.workdir, "node_modules/typescript")), "no development dependencies");

  const [file = "", ...entry] = execForm(final, "ENTRYPOINT") ?? [];
  const environment = {
    cwd: image.workdir,
    env: { PATH: path, ...image.env, MILLPOND_DATA_DIR: join(image.root, "data") },
  };
  const help = spawnSync(file, [...entry, "--help"], { ...environment, encoding: "utf8" });
  assert.match(help.stdout, /Usage: millpond/);
  assert.equal(help.status, 0, help.stderr);

  const serve = [
    ...entry,
    ...(execForm(final, "CMD") ?? []),
    "--grpc-port",
    "0",
    "--http-port",
    "0",
    "--log-level",
    "warn",
    "--json",
  ];
  const server = spawn(file, serve, { ...environment, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => server.kill("SIGKILL"));
  const httpPort = new URL(`http://${(await serving(server)).http}`).port;

  const [, ...check] = execForm(final, "HEALTHCHECK") ?? [];
  const healthy = spawnSync(file, [...check, "--http-port", httpPort], { ...environment, encoding: "utf8" });
  assert.equal(healthy.status, 0, healthy.stderr);

  const ended = once(server, "exit");
  server.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);

  const unhealthy = spawnSync(file, [...check, "--http-port", httpPort], { ...environment, encoding: "utf8" });
  assert.equal(unhealthy.status, 1, "a server that is gone is not healthy");
});

/** The line in which the server says where it serves. */
async function serving(server: ChildProcess): Promise<{ readonly http: string }> {
  assert.ok(server.stdout);
  for await (const line of createInterface(server.stdout)) {
    const said = JSON.parse(line);
    if (said.event === "serving") return said;
  }
  throw new Error("the server ended before it served");
}
