/** The examples of the client's README are checked by the compiler and run against a server, in their order. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startMillpond } from "../../cli/server.ts";

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../../../", import.meta.url));

/** What the examples take for granted. Loops that would go on for ever end with the first thing that they show. */
const given = `
const id = await client.submit(echo, 1, { labels: { customer: "17" } });
await client.run(fail, { reason: "smtp_unreachable", message: "no route" });
const files: readonly string[] = ["a.jpg", "b.jpg"];
const counted = { lines: 0 };
function shown(stop: AbortController) {
  const note = (first: unknown) => {
    counted.lines++;
    if (/^[0-9a-f]{8}-/.test(String(first))) stop.abort();
  };
  return { log: note as typeof console.log, error: note as typeof console.error };
}
`;

const around = (block: string) => `{
  const stop = new AbortController();
  const { signal } = stop;
  const console = shown(stop);
  const draw = (_snapshot: object) => stop.abort();
  ${block}
}`;

/** The blocks of TypeScript of a page as one program; the first makes the client. */
function programOf(page: string, address: string): string {
  const blocks = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block = ""]) => block);
  const [first = "", ...rest] = blocks;
  const opening = first.replace("millpond/client", join(root, "clients/typescript/index.ts"));
  const imports = opening.replace("imageResize,", "fail, imageResize,").replace("127.0.0.1:7717", address);
  const end = "process.stdout.write(`${counted.lines} lines\\n`);";
  return [imports, given, ...rest.map(around), end].join("\n");
}

test("the examples of README.md compile and run", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "millpond-readme-"));
  for (const name of ["a.jpg", "b.jpg"]) await copyFile(join(root, "test/demo/pictures/cat.jpg"), join(folder, name));
  const tasks = JSON.stringify({ "image.resize": { root: folder } });
  const server = await startMillpond(["--store", "memory", "--log-level", "silent", "--tasks", tasks]);
  t.after(async () => {
    await server.dispose();
    await rm(folder, { recursive: true });
  });
  const page = await readFile(join(root, "clients/typescript/README.md"), "utf8");
  const program = programOf(page, server.serving.grpc);
  assert.ok(program.split("const stop =").length > 8, "the examples are found");
  const compilerOptions = {
    rootDir: "/",
    typeRoots: [join(root, "node_modules/@types")],
    allowImportingTsExtensions: true,
  };
  const config = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: { ...compilerOptions, noUnusedLocals: false, rewriteRelativeImportExtensions: false },
    include: ["*.ts"],
  };
  await writeFile(join(folder, "examples.ts"), program);
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));

  const options = { cwd: folder, timeout: 60_000 };
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const compiled = execute(process.execPath, [compiler, "-p", folder], options).catch(
    ({ stdout }: { stdout: string }) => ({ stdout }),
  );
  const ran = await execute(process.execPath, [join(folder, "examples.ts")], options);
  assert.equal((await compiled).stdout, "");
  assert.ok(Number.parseInt(ran.stdout) >= 10, `the examples show something: ${ran.stdout}`);
});
