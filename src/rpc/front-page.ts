/** The page at `/`: what is served here and how to call it, as HTML, text or JSON. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Tasks } from "../pool/tasks.ts";
import { jsonAnswer, type Page, type Pages } from "./pages.ts";
import type { Served } from "./served.ts";

export type FrontPageParts = {
  readonly version: string;
  readonly services: readonly Served[];
  readonly tasks: () => Tasks;
  /** The other pages. */
  readonly pages: Pages;
  /** `host:port` that the gRPC port is bound to. */
  readonly grpcAddress: () => string;
};

type Facts = {
  readonly version: string;
  readonly grpc: string;
  readonly http: string;
  readonly services: readonly { readonly name: string; readonly methods: readonly string[] }[];
  readonly calls: readonly string[];
  readonly tasks: readonly string[];
  readonly pages: { readonly [path: string]: string };
  readonly documents: readonly string[];
};

export const documents = [
  "README.md",
  "docs/protocol.md",
  "docs/errors.md",
  "docs/configuration.md",
  "docs/metrics.md",
  "docs/tracing.md",
  "docs/operations.md",
  "docs/deployment.md",
];
const maxTasksShown = 100;

const style =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}" +
  "code,pre{font:14px/1.5 ui-monospace,monospace}pre{background:#f4f4f4;padding:.7rem;overflow-x:auto}" +
  "dt{margin-top:.5rem}dd{margin:0 0 0 1.5rem}";

/** The page needs only its own style, so browsers may load and run nothing else. */
const securityHeaders = {
  "content-security-policy":
    `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; ` +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  vary: "accept",
};

export function createFrontPage(parts: FrontPageParts): Page {
  return {
    summary: "this page",
    answer(request) {
      const facts = factsFor(request, parts);
      const accept = request.headers.accept ?? "";
      if (/\btext\/html\b/i.test(accept))
        return { status: 200, contentType: "text/html; charset=utf-8", body: toHtml(facts), headers: securityHeaders };
      if (/\bapplication\/json\b/i.test(accept)) return { ...jsonAnswer(200, facts), headers: { vary: "accept" } };
      return {
        ...{ status: 200, contentType: "text/plain; charset=utf-8", body: toText(facts) },
        headers: { vary: "accept" },
      };
    },
  };
}

/** Contains the addresses under which the caller reaches this server, as far as they are known. */
function factsFor(request: IncomingMessage, { version, services, tasks, pages, grpcAddress }: FrontPageParts): Facts {
  const http = request.headers.host ?? "";
  const [, bound = "", port = ""] = /^(.*):(\d+)$/.exec(grpcAddress()) ?? [];
  const grpc = `${bound === "0.0.0.0" || bound === "[::]" ? http.replace(/:\d+$/, "") : bound}:${port}`;
  return {
    ...{ version, grpc, http },
    services: services.map(({ service }) => ({
      name: service.typeName,
      methods: service.methods.map(({ name }) => name),
    })),
    calls: [
      `curl --json '{"job":{"task":"echo","input":{"json":"hello"}}}' http://${http}/millpond.v1.WorkerPoolService/Run`,
      `curl --json '{}' http://${http}/millpond.v1.WorkerPoolService/Stats`,
      `grpcurl -plaintext ${grpc} list`,
      `grpcurl -plaintext ${grpc} describe millpond.v1.WorkerPoolService`,
    ],
    tasks: [...tasks().keys()],
    pages: Object.fromEntries([...pages].map(([path, { summary }]) => [path, summary])),
    documents,
  };
}

/** Names of tasks, and how many more there are. */
function tasksShown({ tasks }: Facts): string {
  const more = tasks.length - maxTasksShown;
  return tasks.slice(0, maxTasksShown).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function toText(facts: Facts): string {
  const indented = (lines: readonly string[]) => lines.map((line) => `  ${line}\n`).join("");
  return [
    `Millpond ${facts.version}: jobs come in over gRPC, worker threads run them, results stream back.\n`,
    `Services, by gRPC on ${facts.grpc}, and by Connect and gRPC-Web on ${facts.http}:\n` +
      indented(facts.services.map(({ name, methods }) => `${name}: ${methods.join(", ")}`)),
    `How to call them:\n${indented(facts.calls)}`,
    `Tasks (${facts.tasks.length}):\n${indented([tasksShown(facts)])}`,
    `Pages:\n${indented(Object.entries(facts.pages).map(([path, summary]) => `${path}: ${summary}`))}`,
    `Documents, in Millpond's repository:\n${indented([facts.documents.join(", ")])}`,
  ].join("\n");
}

function toHtml(facts: Facts): string {
  const code = (text: string) => `<code>${escaped(text)}</code>`;
  const entry = (term: string, text: string) => `<dt>${term}</dt><dd>${text}</dd>`;
  const services = facts.services.map(({ name, methods }) => entry(code(name), methods.map(code).join(", ")));
  const pages = Object.entries(facts.pages).map(([path, summary]) =>
    entry(`<a href="${escaped(path)}">${escaped(path)}</a>`, escaped(summary)),
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Millpond</title><style>${style}</style></head><body>
<h1>Millpond ${escaped(facts.version)}</h1>
<p>Jobs come in over gRPC, worker threads run them, results stream back.</p>
<h2>Services</h2>
<p>By gRPC on ${code(facts.grpc)}, and by Connect and gRPC-Web on ${code(facts.http)}.</p>
<dl>${services.join("\n")}</dl>
<pre>${facts.calls.map(escaped).join("\n")}</pre>
<h2>Tasks (${facts.tasks.length})</h2>
<p>${escaped(tasksShown(facts))}</p>
<h2>Pages</h2>
<dl>${pages.join("\n")}</dl>
<p>Documents, in Millpond's repository: ${facts.documents.map(code).join(", ")}.</p>
</body></html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
