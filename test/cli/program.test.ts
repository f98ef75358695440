import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { flagsOf, nameOf } from "../../src/cli/command.ts";
import { commands } from "../../src/cli/program.ts";
import { version } from "../../src/version.ts";
import { startHttpPort } from "../support/http-port.ts";
import { runHere as run } from "./here.ts";
import { type Ended, run as runProcess } from "./run.ts";

/** Nothing listens on port 1. */
const nowhere = ["--address", "127.0.0.1:1"];

function assertOneLine({ code, stdout, stderr }: Ended, exitCode: number, says: RegExp): void {
  assert.match(stderr, /^millpond: [^\n]*\n$/, "one line on standard error");
  assert.match(stderr, says);
  assert.equal(stdout, "");
  assert.equal(code, exitCode);
}

suite("help and version", { concurrency: 2 }, () => {
  test("--version prints the version of package.json", async () => {
    const manifest = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));

    assert.equal(version, manifest.version);
    assert.deepEqual(await runProcess(["--version"]), { code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("without arguments, and with --help, every command is listed", async () => {
    const bare = await run([]);
    assert.deepEqual(await run(["--help"]), bare);
    assert.equal(bare.code, 0);
    for (const { usage } of commands) assert.match(bare.stdout, new RegExp(`^  ${usage.split(" ")[0]} `, "m"));
  });

  test("a group of commands lists them, with and without --help", async () => {
    const bare = await run(["dead"]);
    assert.deepEqual(await run(["dead", "--help"]), bare);
    assert.equal(bare.code, 0);
    for (const name of ["list", "show", "redrive", "delete"]) assert.match(bare.stdout, new RegExp(`^  ${name} `, "m"));
  });

  for (const command of commands) {
    const name = nameOf(command);
    test(`${name} --help names its flags and shows examples`, async () => {
      const { code, stdout, stderr } = await run([...name.split(" "), "--help"]);

      assert.equal(code, 0);
      assert.equal(stderr, "");
      for (const flag of await flagsOf(command)) assert.ok(stdout.includes(flag.usage), flag.usage);
      for (const example of command.examples) assert.ok(stdout.includes(`$ ${example}`), example);
      assert.doesNotMatch(stdout, /preset|\\u0000/);
    });
  }
});

suite("a command line that makes no sense is one line, with exit code 2", { concurrency: 2 }, () => {
  test("in a process of its own too", async () => {
    assertOneLine(await runProcess(["results", "--folow"]), 2, /'--folow'/);
    assertOneLine(await runProcess(["stats", ...nowhere]), 1, /no server answers/);
  });

  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["an unknown command", ["sumbit"], /'sumbit'.*mean submit.*see millpond --help/],
    ["an unknown flag", ["results", "--folow"], /'--folow'.*mean --follow.*see millpond results --help/],
    ["an unknown flag before the command", ["--folow"], /'--folow'.*see millpond --help/],
    ["a missing argument", ["submit"], /missing required argument 'task'.*see millpond submit --help/],
    ["an argument too many", ["tasks", "echo"], /too many arguments.*see millpond tasks --help/],
    ["a flag without its value", ["jobs", "--limit"], /--limit <count>/],
    ["a number that is none", ["jobs", "--limit", "many"], /--limit is "many": must be an integer from 1 to 1000/],
    ["a number out of bounds", ["stats", "--watch", "--interval", "5"], /--interval is "5": .* 100 to 60000/],
    ["a count of none", ["top", "--count", "0"], /--count is "0": must be an integer from 1 to /],
    ["an unknown state", ["jobs", "--state", "DONE"], /--state is "DONE": must be one of QUEUED, /],
    ["an unknown command of a group", ["dead", "lst"], /'lst'.*mean list.*see millpond dead --help/],
    [
      "a missing argument of two words",
      ["dead", "show"],
      /missing required argument 'id'.*see millpond dead show --help/,
    ],
    ["no jobs to cancel", ["cancel"], /no jobs are selected: give their ids, or .* --task or --label, or --all/],
    ["no jobs to redrive", ["dead", "redrive", "--dry-run"], /no jobs are selected/],
    ["no jobs to delete", ["dead", "delete"], /no jobs are selected/],
    ["ids and a filter", ["cancel", "x", "--task", "echo"], /ids and a filter are given: keep one/],
    ["ids and all", ["dead", "delete", "x", "--all"], /ids and a filter are given: keep one/],
    [
      "ids that are only counted",
      ["cancel", "x", "--dry-run"],
      /--dry-run counts the jobs of a filter: leave the ids out/,
    ],
    ["a label without a value", ["cancel", "--label", "customer"], /--label is "customer": must be name=value/],
    ["a label given twice", ["submit", "echo", "--label", "a=1", "--label", "a=2"], /one name twice/],
    [
      "a label too long",
      ["submit", "echo", "--label", `a=${"x".repeat(201)}`],
      /a value of 201 characters: at most 200/,
    ],
    [
      "too many labels",
      ["submit", "echo", ...Array.from({ length: 17 }, (_, at) => ["--label", `l${at}=1`]).flat()],
      /--label is given 17 times: at most 16/,
    ],
    [
      "a dead reason that is none",
      ["dead", "list", "--reason", "bored"],
      /--reason is "bored": must be one of exhausted, /,
    ],
    [
      "a rate out of bounds",
      ["dead", "redrive", "--all", "--per-second", "0"],
      /--per-second is "0": .* 0\.01 to 1000000/,
    ],
    [
      "a duration without a unit",
      ["submit", "echo", "--delay", "5"],
      /--delay is "5": must be a duration from 0s to 365d/,
    ],
    ["a duration out of bounds", ["submit", "echo", "--timeout", "8d"], /--timeout is "8d": .* from 1ms to 7d/],
    ["a deadline out of bounds", ["run", "echo", "--deadline", "25d"], /--deadline is "25d": .* from 1ms to 24d/],
    ["an unknown level of the log", ["log-level", "loud"], /the level is "loud": must be one of debug, info, /],
    ["a profile that is too long", ["profile", "--for", "2m"], /--for is "2m": .* from 1s to 1m/],
    ["two kinds of profile", ["profile", "--heap", "--cpu"], /--cpu and --heap exclude each other/],
    ["a heap snapshot of nobody knows whom", ["profile", "--heap"], /--heap needs --thread: main, store, or a pool/],
    ["a resize without bounds", ["pools", "resize", "cpu"], /give --min or --max or both, or only --reset/],
    ["a resize out of bounds", ["pools", "resize", "cpu", "--max", "1025"], /--max is "1025": .* from 1 to 1024/],
    ["a wait out of bounds", ["drain", "--wait", "2h"], /--wait is "2h": .* from 0s to 1h/],
    ["a time that is none", ["submit", "echo", "--at", "tomorrow"], /--at is "tomorrow": must be a time such as 2026/],
    [
      "an expiry that is none",
      ["submit", "echo", "--expires", "soon"],
      /--expires is "soon": .* 10m, or a time such as/,
    ],
    ["a time before", ["cancel", "--before", "yesterday"], /--before is "yesterday": .* at most 365d ago/],
    [
      "a time and a delay",
      ["submit", "echo", "--at", "2026-01-01", "--delay", "1s"],
      /--at and --delay are both given/,
    ],
    ["a priority out of bounds", ["submit", "echo", "--priority", "-101"], /--priority is "-101": .* -100 to 100/],
    ["attempts out of bounds", ["submit", "echo", "--max-attempts", "0"], /--max-attempts is "0": .* 1 to 100/],
    ["an input of run that is no JSON", ["run", "echo", "{a: 1}"], /the argument is not JSON: /],
    ["two inputs of run", ["run", "echo", "1", "--file", "x"], /keep one of the argument, --json-file, --file/],
    ["a file in place of JSON", ["submit", "echo", "--json", "@in.json"], /use --json-file in\.json$/m],
    ["malformed JSON", ["submit", "echo", "--json", "{a: 1}"], /--json is not JSON: /],
    ["two inputs", ["submit", "echo", "--json", "1", "--file", "x"], /the input is given more than once/],
    ["a file that is not there", ["submit", "echo", "--file", "/nonexistent/x"], /cannot be read: ENOENT/],
    [
      "an address without a port",
      ["stats", "--address", "localhost"],
      /--address is "localhost": must be a host and a port/,
    ],
    ["a client name with a space", ["stats", "--client", "a b"], /--client is "a b": must be/],
    ["a configuration file that is not there", ["serve", "--config", "/nonexistent/x"], /file cannot be read \(ENOENT/],
  ];
  for (const [what, args, says] of cases) {
    test(what, async () => assertOneLine(await run(args), 2, says));
  }
});

suite("no server running is one line that says how to start one, with exit code 1", { concurrency: 2 }, () => {
  const cases = [
    ["submit", "echo", "--json", "{}"],
    ["submit", "echo", "--wait", "--json"],
    ["results"],
    ["results", "--follow"],
    ["stats"],
    ["stats", "--watch"],
    ["top"],
    ["tasks", "--json"],
    ["job", "x"],
    ["jobs"],
    ["run", "echo"],
    ["watch", "x"],
    ["explain", "x"],
    ["cancel", "--all"],
    ["dead", "list"],
    ["dead", "show", "x"],
    ["dead", "redrive", "x"],
    ["dead", "delete", "--all"],
    ["pools", "list"],
    ["pools", "pause", "cpu"],
    ["pools", "resume", "cpu"],
    ["pools", "resize", "cpu", "--max", "2"],
    ["pools", "advise"],
    ["drain"],
    ["log-level", "debug"],
    ["profile"],
  ];
  for (const args of cases) {
    test(args.join(" "), async () => {
      assertOneLine(
        await run([...args, ...nowhere]),
        1,
        /no server answers at 127\.0\.0\.1:1: start one with "millpond serve"/,
      );
    });
  }

  test("unless it is an HTTP port, which has another line", async (t) => {
    const address = await startHttpPort(t);
    assertOneLine(await run(["stats", "--address", address]), 1, /is an HTTP\/1\.1 port, .*: gRPC is on another, 7717/);
  });

  test("also when the address comes from MILLPOND_ADDRESS", async () => {
    assertOneLine(await run(["stats"], { env: { MILLPOND_ADDRESS: "127.0.0.1:2" } }), 1, /127\.0\.0\.1:2/);
  });

  test("health", async () => {
    const env = { MILLPOND_HTTP_HOST: "0.0.0.0", MILLPOND_ALLOW_INSECURE: "true", MILLPOND_HTTP_PORT: "9" };
    assertOneLine(
      await run(["health"], { env }),
      1,
      /is not ready \(http:\/\/127\.0\.0\.1:9\/readyz\): .*millpond serve/,
    );
  });

  test("health --json says it in JSON", async () => {
    const { code, stdout } = await run(["health", "--json", "--http-port", "9"]);
    assert.equal(code, 1);
    const { serving, message } = JSON.parse(stdout);
    assert.equal(serving, false);
    assert.match(message, /; start it with "millpond serve"$/);
  });

  test("health on a port that does not speak HTTP/1.1, such as the gRPC port", async (t) => {
    const server = createServer((socket) => void socket.end("\0\0\0"));
    t.after(() => server.close());
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    assertOneLine(await run(["health", "--http-port", String(port)]), 1, /give the HTTP port, 7718 by default, with/);
  });
});

suite("serve refuses a wrong configuration", { concurrency: 2 }, () => {
  test("with every mistake in one message and exit code 2", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "millpond-cli-"));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, "millpond.yaml");
    await writeFile(file, "grpc: {prot: 1}\nstore: mongo\n");
    const env = { MILLPOND_CONFIG: file, MILLPOND_HTTP_PORT: "99999" };

    const { code, stdout, stderr } = await run(["serve", "--log-level", "loud"], { env });

    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.deepEqual(stderr.trimEnd().split("\n"), [
      "millpond: the configuration has 4 mistakes:",
      `  grpc.prot in ${file} is not a setting: did you mean grpc.port?`,
      "  MILLPOND_HTTP_PORT is 99999: must be an integer from 0 to 65535 (default: 7718)",
      `  store in ${file} is "mongo": must be one of sqlite, memory (default: "sqlite")`,
      '  --log-level is "loud": must be one of debug, info, warn, error, silent (default: "info")',
    ]);
  });

  test("of millpond.yaml in the current folder, unless another file is named", async (t) => {
    const cwd = await mkdtemp(join(tmpdir(), "millpond-cli-"));
    t.after(() => rm(cwd, { recursive: true }));
    await writeFile(join(cwd, "millpond.yaml"), "store: mongo");
    await writeFile(join(cwd, "other.yaml"), "store: redis");

    for (const [args, env, says] of [
      [[], {}, 'store in millpond.yaml is "mongo"'],
      [["--config", "other.yaml"], {}, 'store in other.yaml is "redis"'],
      [[], { MILLPOND_CONFIG: "other.yaml" }, 'store in other.yaml is "redis"'],
    ] as const) {
      for (const command of ["serve", "health"]) {
        const { code, stderr } = await runProcess([command, ...args], { cwd, env });
        assert.equal(code, 2);
        assert.ok(stderr.includes(says), stderr);
      }
    }
  });

  test("--allow-insecure=false is not --allow-insecure", async () => {
    const { code, stderr } = await run(["serve", "--grpc-host", "0.0.0.0", "--allow-insecure=false"]);
    assert.equal(code, 2);
    assert.match(stderr, /--grpc-host is "0\.0\.0\.0", which other machines can reach/);
  });
});
