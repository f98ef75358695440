/** What documents and sources name, so that one can be held to the other. All pure. */

/** `reason CODE yes` for every row of a table under "Refusals". */
export function documentedRefusals(page: string): string[] {
  const rows = sectionOf(page, "Refusals").matchAll(/^\| `([a-z_]+)` \| ([A-Z_]+) \| (yes|no) \|/gm);
  return [...rows].map(([, reason, code, retryable]) => `${reason} ${code} ${retryable}`);
}

/** The reason of every row of a table under "Failures". */
export function documentedFailures(page: string): string[] {
  return [...sectionOf(page, "Failures").matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, reason = ""]) => reason);
}

/** What is set as code in the first column of the table of a section. */
export function firstColumn(page: string, heading: string): string[] {
  const cells = [...sectionOf(page, heading).matchAll(/^\| ([^|]*)\|/gm)].map(([, cell = ""]) => cell);
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name));
}

function sectionOf(page: string, heading: string): string {
  return page.split(/^(?=## )/m).find((section) => section.startsWith(`## ${heading}\n`)) ?? "";
}

/** The reasons that a source file gives to failures of jobs. */
export function namedFailures(code: string): string[] {
  const uses = code.matchAll(/\b(?:permanent|TaskError|super)\(\s*"[a-z_]+"|\breason:[^,;\n]*/g);
  return [...uses].flatMap(([use]) => [...use.matchAll(/"([a-z_]+)"/g)].map(([, reason = ""]) => reason));
}

/** What stands in fences of this language, such as `yaml`. */
export function codeBlocks(page: string, language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(([, code = ""]) => code);
}

export function rpcNames(proto: string): string[] {
  return [...proto.matchAll(/^\s*rpc (\w+)\(/gm)].map(([, name = ""]) => name);
}

export type Neighbours = { exists(path: string): boolean; read(path: string): string };

/** Relative links of a page that lead to no file, or to no heading of one. */
export function brokenLinks(page: string, { exists, read }: Neighbours): string[] {
  const text = page.replaceAll(/```.*?```|`[^`\n]*`/gs, "");
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  return links
    .filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) => {
      const [path = "", anchor] = link.split("#");
      if (path !== "" && !exists(path)) return true;
      return anchor !== undefined && !anchorsOf(path === "" ? page : read(path)).has(anchor);
    });
}

/** Files, and folders in folders, that a page names as code and that are not in the tree: by path, by path in `src/`, or by a file's name. */
export function missingFiles(page: string, tree: readonly string[]): string[] {
  const names = [...page.matchAll(/`([\w./-]+(?:\.(?:ts|md)|\/[\w-]+\/))`/g)].map(([, name = ""]) => name);
  const isThere = (path: string) => tree.some((each) => each === path || (path.endsWith("/") && each.startsWith(path)));
  return names.filter(
    (name) => !isThere(name) && !isThere(`src/${name}`) && !tree.some((path) => path.endsWith(`/${name}`)),
  );
}

/** Headings as GitHub makes anchors of them. */
function anchorsOf(page: string): Set<string> {
  const headings = [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    ),
  );
}
