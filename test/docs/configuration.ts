/**
 * Writes docs/configuration.md from the table of settings:
 *
 *     node test/docs/configuration.ts > docs/configuration.md
 */
import { options, otherVariables } from "../../src/config/options.ts";

/** The whole page. */
export function renderConfiguration(): string {
  const rows = options.map(({ key, flag, env, default: value, unit, check, doc }) => [
    `\`${key}\`<br>\`${flag}\`<br>\`${env}\``,
    `${shownDefault(value)}${unit === "" || value === null ? "" : ` ${unit}`}`,
    check.description ?? "",
    doc,
  ]);
  const variables = Object.entries(otherVariables).map(([name, doc]) => [`\`${name}\``, doc]);
  return `# Configuration

<!-- Written by test/docs/configuration.ts from src/config/options.ts: change it there. -->

Every setting of \`millpond serve\` can be given as a flag, as an environment variable, or in a YAML (or JSON) file that
\`--config\` or \`MILLPOND_CONFIG\` names; the default is \`millpond.yaml\` in the current folder, if it exists. Flags have precedence
over the environment, the environment over the file, and the file over the defaults.

\`\`\`yaml
grpc:
  port: 7717
dataDir: /var/lib/millpond
pools:
  cpu: { workers: 4 }
  scrape: { work: limited, workers: 25 }
\`\`\`

- Structured settings (\`pools\`, \`tasks\`, \`rate.clients\`) are taken as a whole from the first source that has them; in the
  environment and in flags they are YAML or JSON text: \`MILLPOND_POOLS='{cpu: {workers: 4}}'\`.
- An empty variable, and a key without a value in the file, count as not set.
- Relative paths start at the folder in which the server was started.
- Variables that Kubernetes sets for a Service named \`millpond\` or \`millpond-...\`, such as
  \`MILLPOND_PORT=tcp://10.96.14.3:7717\`, are not settings: they are ignored, and one line of the log names them.
- Unknown keys, unknown \`MILLPOND_\` variables and wrong values are errors. The server then lists all of them and exits
  with code 2.

## Settings

${table(["Setting, flag, variable", "Default", "Allowed", "Meaning"], rows)}

## Alerts

Jobs that become DEAD are logged, at most 20 a second; the others are counted by reason. \`alerts.webhook\` gets each of them,
at most 100 in one POST and one POST at a time:

\`\`\`json
{
  "deaths": [
    {
      "id": "0198a3b4-0000-7000-8000-00000000000a",
      "client": "ada",
      "task": "image.resize",
      "pool": "cpu",
      "deadReason": "exhausted",
      "failure": { "reason": "timed_out", "message": "the attempt took longer than its timeout of 30000 ms" },
      "attempts": 4,
      "at": "2026-11-24T12:00:00.000Z"
    }
  ],
  "dropped": 0
}
\`\`\`

Any status from 200 to 299, within 5 s, means that they were taken. No answer, 408, 429 and statuses from 500 are tried again
after 1, 4 and 16 s; what is then still not taken, or is beyond 10,000 that wait, is dropped, logged, and counted in the next
POST's \`dropped\`. An alert may come twice, and is lost when the process dies: \`ListDeadLetters\` is the truth. A name and
password in the URL are sent as \`Authorization: Basic\`; redirects are not followed. Logs and messages show no more of the
URL than its host.

## Other variables

${table(["Variable", "Meaning"], variables)}

The standard \`OTEL_*\` variables turn on [traces](tracing.md), and the push of [metrics](metrics.md#otlp). What they name and is not known, such as
an exporter, a protocol or a sampler, is refused at the start.
`;
}

function shownDefault(value: unknown): string {
  return value === null ? "none" : `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
}

if (import.meta.main) process.stdout.write(renderConfiguration());
