/**
 * Makes dist/, which the package ships: the sources without their types, the types beside them, and the SQL files that
 * the stores read at run time. `--out <folder>` writes it elsewhere.
 */
import { spawnSync } from "node:child_process";
import { cpSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({ options: { out: { type: "string", default: join(root, "dist") } } });

rmSync(values.out, { recursive: true, force: true });
compile();
cpSync(join(root, "src"), join(values.out, "src"), {
  recursive: true,
  filter: (path) => statSync(path).isDirectory() || path.endsWith(".sql"),
});

function compile() {
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
  const args = [tsc, "-p", join(root, "tsconfig.build.json"), "--outDir", values.out];
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  if (status !== 0) process.exit(1);
}
