/**
 * Reads a Dockerfile and plays its stages in folders, because no container engine is at hand: each stage gets an empty
 * folder for its root, COPY copies, RUN runs. What an engine adds (users, networks, layers) stays untested.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, statSync } from "node:fs";
import { basename, join } from "node:path/posix";

export type Step = { readonly verb: string; readonly rest: string };

/** `name` is the one after AS, or the stage's number. */
export type Stage = { readonly name: string; readonly image: string; readonly steps: readonly Step[] };

/** A stage that was played: where its root lies, and the folder and variables that its commands see. */
export type Played = {
  readonly root: string;
  readonly workdir: string;
  readonly env: { readonly [name: string]: string };
};

export function parseDockerfile(text: string): Stage[] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, "")
    .replaceAll("\\\n", " ")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const stages: { name: string; image: string; steps: Step[] }[] = [];
  for (const line of lines) {
    const [verb = "", ...words] = line.split(/\s+/);
    if (verb === "FROM") {
      const [image = "", , name = String(stages.length)] = words;
      stages.push({ name, image, steps: [] });
    } else {
      stages.at(-1)?.steps.push({ verb, rest: words.join(" ") });
    }
  }
  return stages;
}

/** The words of an exec-form instruction such as `CMD ["node", "main.js"]`; null when it is in shell form. */
export function execForm(stage: Stage, verb: string): string[] | null {
  const step = stage.steps.findLast((each) => each.verb === verb);
  const json = step && /\[.*\]$/.exec(step.rest)?.[0];
  return json ? (JSON.parse(json) as string[]) : null;
}

/** Plays one stage below `root`, an empty folder. `path` is the PATH of its commands. */
export function play(
  stage: Stage,
  {
    root,
    context,
    played,
    path,
  }: {
    readonly root: string;
    readonly context: string;
    readonly played: ReadonlyMap<string, Played>;
    readonly path: string;
  },
): Played {
  let workdir = root;
  const env: Record<string, string> = {};
  for (const { verb, rest } of stage.steps) {
    if (verb === "WORKDIR") {
      workdir = join(root, rest);
      mkdirSync(workdir, { recursive: true });
    } else if (verb === "ENV") {
      for (const [, name = "", value = ""] of rest.matchAll(/(\w+)=(\S+)/g)) env[name] = value;
    } else if (verb === "COPY") {
      copy(rest, { root, workdir, context, played });
    } else if (verb === "RUN") {
      const { status, stdout, stderr } = spawnSync("sh", ["-c", rest], {
        cwd: workdir,
        env: { ...process.env, PATH: path, ...env },
        encoding: "utf8",
      });
      if (status !== 0) throw new Error(`RUN ${rest} ended with ${status}:\n${stdout}${stderr}`);
    }
  }
  return { root, workdir, env };
}

type Places = {
  readonly root: string;
  readonly workdir: string;
  readonly context: string;
  readonly played: ReadonlyMap<string, Played>;
};

function copy(rest: string, { root, workdir, context, played }: Places): void {
  const words = rest.split(" ");
  const options = words.filter((word) => word.startsWith("--"));
  const paths = words.filter((word) => !word.startsWith("--"));
  const from = options.find((option) => option.startsWith("--from="))?.slice("--from=".length);
  const source = from === undefined ? context : played.get(from)?.root;
  const target = paths.pop();
  if (source === undefined || target === undefined) throw new Error(`COPY ${rest}: no such stage, or no target`);
  const place = target.startsWith("/") ? join(root, target) : join(workdir, target);
  for (const path of paths) {
    const isFolder = statSync(join(source, path)).isDirectory(); // COPY copies what is in a folder, not the folder
    cpSync(join(source, path), isFolder ? place : join(place, basename(path)), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
}
