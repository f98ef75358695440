import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { options } from "../src/config/options.ts";
import { type ConfigSources, parseConfig } from "../src/config.ts";
import { StartError } from "../src/errors.ts";

const parse = (given: Partial<ConfigSources> & { yaml?: string } = {}) => {
  const { yaml, ...sources } = given;
  const file = yaml === undefined ? null : { name: "millpond.yaml", text: yaml };
  return parseConfig({ file, env: {}, flags: {}, cores: 2, ...sources });
};

/** The lines of the error, without the first. */
const mistakes = (given: Parameters<typeof parse>[0]): string[] => {
  try {
    parse(given);
  } catch (error) {
    assert.ok(error instanceof StartError, String(error));
    assert.equal(error.exitCode, 2);
    const [first, ...rest] = error.message.split("\n  ");
    assert.match(first as string, rest.length === 1 ? /has a mistake:$/ : new RegExp(`has ${rest.length} mistakes:$`));
    return rest;
  }
  return assert.fail("no mistake was found");
};

suite("values", () => {
  test("without any source every setting has its default", () => {
    const config = parse();

    assert.deepEqual(config.grpc, { host: "127.0.0.1", port: 7717 });
    assert.deepEqual(config.limits, {
      messageBytes: 4 * 2 ** 20,
      inputBytes: 2 ** 20,
      values: 20_000,
      requestMiB: 128,
      jobsPerSubmit: 1000,
      connections: 10_000,
      connectionsPerAddress: 1000,
      streams: 100,
      metadataBytes: 16_384,
      resultStreams: 10,
      unreadMiB: 32,
      watches: 100,
      statsWatches: 10,
      diskFreeMiB: null,
      sessionMemoryMiB: 16,
    });
    assert.deepEqual(config.rate, { perSecond: 0, burst: 1000, clients: {} });
    assert.deepEqual(config.retention, {
      acknowledgedMs: 3_600_000,
      unacknowledgedMs: 86_400_000,
      deadMs: 2_592_000_000,
      finishedJobs: 10_000_000,
      finishedMiB: 20_480,
      deadJobs: 1_000_000,
      deadMiB: 10_240,
    });
    assert.equal(config.leaseMs, 30_000);
    assert.equal(config.alerts.webhook, null);
    assert.equal(config.tasksDir, null);
  });

  test("a flag wins over the environment, that over the file, that over the default", () => {
    const yaml = "grpc: {port: 1}";
    const env = { MILLPOND_GRPC_PORT: "2" };
    const flags = { "--grpc-port": "3" };

    assert.equal(parse({ yaml, env, flags }).grpc.port, 3);
    assert.equal(parse({ yaml, env }).grpc.port, 2);
    assert.equal(parse({ yaml }).grpc.port, 1);
  });

  test("every setting can be given by its key, its flag and its variable, and each default passes its own check", () => {
    for (const { key, flag, env, default: value } of options) {
      if (value === null) continue;
      const text = typeof value === "object" ? JSON.stringify(value) : String(value);
      parse({ yaml: `${key}: ${JSON.stringify(value)}`, env: { [env]: text }, flags: { [flag]: text } });
    }
    assert.equal(new Set(options.map(({ env }) => env)).size, options.length);
  });

  test("text stays text where a setting takes text, also when it looks like a number", () => {
    assert.equal(parse({ env: { MILLPOND_DATA_DIR: "2024" } }).dataDir, "2024");
    assert.equal(parse({ flags: { "--allow-insecure": "true" } }).allowInsecure, true);
  });

  test("files are only watched where there is a folder of them", () => {
    assert.equal(parse({ flags: { "--watch": "true", "--tasks-dir": "./tasks" } }).watch, true);
    assert.throws(() => parse({ flags: { "--watch": "true" } }), /--watch is true, and there is no tasksDir/);
  });

  test("structured settings can be YAML or JSON text in the environment and in flags", () => {
    const env = { MILLPOND_RATE_CLIENTS: "{batch: {perSecond: 5}}" };
    const flags = { "--tasks": '{"image.resize": {"maxWidth": 8000}}' };
    const config = parse({ env, flags });

    assert.deepEqual(config.rate.clients, { batch: { perSecond: 5, burst: 1000 } });
    assert.deepEqual(config.tasks, { "image.resize": { maxWidth: 8000 } });
  });

  test("lists are lists in the file, and words with commas in the environment and in flags", () => {
    const yaml = "http: {hosts: [jobs.example]}";
    const env = { MILLPOND_HTTP_HOSTS: "jobs.example, .svc.cluster.local" };
    const flags = { "--http-origins": '["https://app.example"]' };

    assert.deepEqual(parse({ yaml }).http.hosts, ["jobs.example"]);
    assert.deepEqual(parse({ yaml, env }).http.hosts, ["jobs.example", ".svc.cluster.local"]);
    assert.deepEqual(parse({ flags }).http.origins, ["https://app.example"]);
    const wrong = { yaml: "http: {hosts: [jobs.example:80], origins: https://app.example/}" };
    assert.throws(() => parse(wrong), {
      message:
        "the configuration has 2 mistakes:\n" +
        '  http.hosts.0 in millpond.yaml is "jobs.example:80": must be a host name without a port, or a dot and a name\n' +
        '  http.origins.0 in millpond.yaml is "https://app.example/": must be an origin, such as https://app.example:8443',
    });
  });

  test("an empty variable, an empty section and an empty setting count as not given", () => {
    const config = parse({ yaml: "grpc:\ntasksDir:\n", env: { MILLPOND_GRPC_PORT: "" } });

    assert.equal(config.grpc.port, 7717);
    assert.equal(config.tasksDir, null);
    assert.deepEqual(parse({ yaml: "" }), parse());
  });

  test("variables that the command line reads are not mistaken for settings", () => {
    parse({ env: { MILLPOND_CONFIG: "x", MILLPOND_ADDRESS: "y", MILLPOND_CLIENT: "z", PATH: "/bin" } });
  });
});

suite("pools", () => {
  test("their size follows from the kind of work and the cores, and workers start when there is work", () => {
    const { pools } = parse({ yaml: "pools: {both: {work: mixed}, api: {work: limited, workers: 25}}", cores: 6 });

    assert.deepEqual(pools.cpu, { work: "cpu", minWorkers: 0, maxWorkers: 6, concurrency: 1, maxQueued: 100_000 });
    assert.deepEqual(pools.io, { work: "io", minWorkers: 0, maxWorkers: 24, concurrency: 32, maxQueued: 100_000 });
    assert.deepEqual(pools.both, { work: "mixed", minWorkers: 0, maxWorkers: 12, concurrency: 1, maxQueued: 100_000 });
    assert.deepEqual(pools.api, {
      work: "limited",
      minWorkers: 25,
      maxWorkers: 25,
      concurrency: 1,
      maxQueued: 100_000,
    });
  });

  test("cpu and io are there whatever else is configured, and may be changed in part", () => {
    const { pools } = parse({ yaml: "pools: {io: {workers: {min: 0, max: 3}, maxQueued: 5}}" });

    assert.deepEqual(Object.keys(pools).toSorted(), ["cpu", "io"]);
    assert.deepEqual(pools.io, { work: "io", minWorkers: 0, maxWorkers: 3, concurrency: 32, maxQueued: 5 });
  });

  test("a limited pool without workers and a pool without work are refused", () => {
    const [limited, unknown] = mistakes({ yaml: "pools: {api: {work: limited}, other: {}}" });

    assert.match(limited as string, /pools\.api has no workers/);
    assert.match(unknown as string, /pools\.other has no work: must be one of cpu, io, mixed, limited/);
  });

  test("jobs run beside each other in a worker where work is io, as many as is asked for, and never where it is cpu", () => {
    const { pools } = parse({
      yaml: "pools: {calls: {work: io, workers: 64, concurrency: 512}, both: {work: mixed, concurrency: 2}}",
    });
    assert.deepEqual([pools["calls"]?.concurrency, pools["both"]?.concurrency], [512, 2]);
    const [cpu, many, none] = mistakes({
      yaml: "pools: {cpu: {concurrency: 2}, io: {workers: 64, concurrency: 513}}",
    });
    assert.match(cpu as string, /pools\.cpu has concurrency 2: must be 1 where work is cpu/);
    assert.match(many as string, /pools\.io has concurrency 513: must be 1 to 512 with 64 workers/);
    assert.equal(none, undefined);
    assert.match(String(mistakes({ yaml: "pools: {io: {concurrency: 0}}" })), /pools\.io\.concurrency.* 1 to 1024/);
  });

  test("more workers at least than at most, none at all, and unknown settings are refused by their path", () => {
    const yaml = "pools: {cpu: {workers: {min: 4, max: 2}}, io: {workers: 0}, x: {work: cpu, wrokers: 1}, Y: {}}";
    const [order, none, unknown, name] = mistakes({ yaml });

    assert.match(order as string, /^pools\.cpu\.workers in millpond\.yaml is \{"min":4,"max":2\}: .*min <= max/);
    assert.match(none as string, /^pools\.io\.workers in millpond\.yaml is 0: must be an integer from 1 to 1024/);
    assert.match(unknown as string, /^pools\.x .* must not have "wrokers", only work, workers, concurrency, maxQueued/);
    assert.match(name as string, /^pools\.Y .*must be named with a letter/);
  });
});

suite("mistakes", () => {
  test("all are told at once, each with where it was given, the value, the bound and the default", () => {
    const found = mistakes({
      yaml: "grpc: {port: 99999}\nstore: mongo",
      env: { MILLPOND_DRAIN_MS: "soon", MILLPOND_ALLOW_INSECURE: "perhaps" },
      flags: { "--rate-burst": "0" },
    });

    assert.deepEqual(found, [
      "grpc.port in millpond.yaml is 99999: must be an integer from 0 to 65535 (default: 7717)",
      'MILLPOND_ALLOW_INSECURE is "perhaps": must be true or false (default: false)',
      'store in millpond.yaml is "mongo": must be one of sqlite, memory (default: "sqlite")',
      "--rate-burst is 0: must be an integer from 1 to 1000000 (default: 1000)",
      'MILLPOND_DRAIN_MS is "soon": must be an integer from 0 to 3600000 (default: 30000)',
    ]);
  });

  test("unknown keys and variables are refused, with the nearest known one", () => {
    const yaml = "grpc: {prot: 1}\nlimts: {}\nzebra: 1";
    const found = mistakes({ yaml, env: { MILLPOND_GRCP_HOST: "x", MILLPOND_ZEBRA_CROSSING: "1" } });

    assert.deepEqual(found, [
      "grpc.prot in millpond.yaml is not a setting: did you mean grpc.port?",
      "limts in millpond.yaml is not a setting: did you mean limits?",
      "zebra in millpond.yaml is not a setting: docs/configuration.md lists them all",
      "MILLPOND_GRCP_HOST is not a setting: did you mean MILLPOND_GRPC_HOST?",
      "MILLPOND_ZEBRA_CROSSING is not a setting: docs/configuration.md lists them all",
    ]);
  });

  test("a file that is not YAML is refused with the place", () => {
    assert.match(
      mistakes({ yaml: "grpc: {port: 1\nstore: ]" })[0] as string,
      /^millpond\.yaml is not YAML: .* at line 2/,
    );
    const said = mistakes({ yaml: "{{{: nonsense\n" });
    assert.equal(new Set(said).size, said.length, "and nothing is told twice");
  });

  test("a flag or variable for a map that is not YAML is refused with the reason and the place", () => {
    const found = mistakes({ env: { MILLPOND_TASKS: "{a: {}, a: {}}" }, flags: { "--pools": "{io: {" } });
    assert.equal(found.length, 2, found.join("\n"));
    const [pools, tasks] = found.toSorted() as [string, string];
    assert.match(pools, /^--pools is "\{io: \{": must be YAML: .* at line 1, column 7 \(default: \{\}\)$/);
    assert.match(tasks, /^MILLPOND_TASKS is .*: must be YAML: Map keys must be unique at line 1, column 9 /);
  });

  test("a key given twice is refused", () => {
    assert.match(mistakes({ yaml: "grpc: {port: 1}\ngrpc: {port: 2}" })[0] as string, /unique/);
    assert.deepEqual(mistakes({ yaml: "grpc: {port: 1}\ngrpc.port: 2" }), [
      "grpc.port in millpond.yaml is given twice: keep one",
    ]);
  });

  test("a value where a section belongs is refused", () => {
    assert.match(mistakes({ yaml: "limits: 5" })[0] as string, /^limits in millpond\.yaml is 5: must be a set of keys/);
    assert.match(mistakes({ yaml: "- 1" })[0] as string, /^millpond\.yaml is a list: must be a set of keys/);
  });

  test("aliases that would unfold to a very large file are refused", () => {
    const levels = Array.from(
      { length: 9 },
      (_, i) => `  x${i + 1}: &x${i + 1} [${Array(9).fill(`*x${i}`).join(", ")}]`,
    );
    const yaml = `tasks:\n  x0: &x0 [1]\n${levels.join("\n")}\n`;

    assert.match(mistakes({ yaml })[0] as string, /^millpond\.yaml cannot be read: .*alias/i);
    assert.match(mistakes({ env: { MILLPOND_TASKS: yaml } })[0] as string, /^MILLPOND_TASKS is /);
  });

  test("an input bound above the message bound is refused", () => {
    assert.deepEqual(mistakes({ flags: { "--limits-input-bytes": "5000000" } }), [
      "--limits-input-bytes is 5000000: must be at most limits.messageBytes, which is 4194304",
    ]);
  });

  test("one port for both front ends is refused, any free port is not", () => {
    assert.match(mistakes({ yaml: "http: {port: 7717}" })[0] as string, /http\.port .* 7717, as is grpc\.port/);
    parse({ yaml: "grpc: {port: 0}\nhttp: {port: 0}" });
  });
});

suite("a setting that may hold a secret", () => {
  const secret = "hooks.example/T0/s3cret";

  test("is taken as it is given", () => {
    for (const webhook of [`https://${secret}`, "http://user:pass@127.0.0.1:8080/x?y=z"]) {
      assert.equal(parse({ env: { MILLPOND_ALERTS_WEBHOOK: webhook } }).alerts.webhook, webhook);
    }
  });

  test("is not shown when it is wrong, whatever is wrong with it and wherever it stands", () => {
    const wrong = "is not shown here: must be an http or https URL (default: none)";
    for (const webhook of [
      secret,
      `ftp://${secret}`,
      `https://a b/${secret}`,
      `https://[::1/${secret}`,
      `http://:99999/${secret}`,
    ]) {
      assert.deepEqual(mistakes({ env: { MILLPOND_ALERTS_WEBHOOK: webhook } }), [`MILLPOND_ALERTS_WEBHOOK ${wrong}`]);
    }
    assert.deepEqual(mistakes({ env: { MILLPOND_RESOURCES: `{} ${secret}` } }), [
      "MILLPOND_RESOURCES is not shown here: must be YAML: unexpected token at line 1, column 4 (default: {})",
    ]);
    for (const yaml of ["*", "!", "!!map !", '"\\', "a: >", "a: {b: c, }}", "%"].map((start) => `${start}${secret}`)) {
      const found = mistakes({ yaml: `resources:\n  smtp: ${yaml}\n` });
      assert.notEqual(found.length, 0, yaml);
      assert.doesNotMatch(found.join("\n"), /s3cret|hooks/, yaml);
    }
    assert.deepEqual(mistakes({ yaml: secret }), [
      'millpond.yaml is a single value: must be a set of keys, such as "grpc: {port: 7717}"',
    ]);
    assert.deepEqual(mistakes({ yaml: `alerts: https://${secret}` }), [
      'alerts in millpond.yaml is not shown here: must be a set of keys, such as "grpc: {port: 7717}"',
    ]);
  });
});

suite("addresses that other machines can reach", () => {
  for (const host of ["0.0.0.0", "::", "192.168.1.4", "millpond.example", "::ffff:10.0.0.1"]) {
    test(`${host} is refused on both ports, with the reason and the way out`, () => {
      const found = mistakes({ env: { MILLPOND_GRPC_HOST: host }, flags: { "--http-host": host } });

      assert.equal(found.length, 2);
      assert.match(
        found[0] as string,
        /^MILLPOND_GRPC_HOST is .*other machines can reach.*neither encryption nor authentication/,
      );
      assert.match(found[1] as string, /^--http-host is .*MILLPOND_ALLOW_INSECURE=true/);
    });

    test(`${host} is taken when allowInsecure says so`, () => {
      const config = parse({ env: { MILLPOND_GRPC_HOST: host, MILLPOND_ALLOW_INSECURE: "true" } });
      assert.equal(config.grpc.host, host);
    });
  }

  for (const host of ["127.0.0.1", "127.8.9.10", "::1", "localhost", "::ffff:127.0.0.1"]) {
    test(`${host} is not one of them`, () => {
      assert.equal(parse({ yaml: `grpc: {host: "${host}"}` }).grpc.host, host);
    });
  }
});
