/** `AdminService.SetLogLevel` and `AdminService.Profile`, over both ports. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { AdminService, LogLevel, ProfileRequest_Kind as Kind } from "../../src/gen/millpond/v1/admin_pb.ts";
import { until } from "../support/until.ts";
import { openServer, startedPools, ways } from "./fixtures.ts";
import { refused } from "./refused.ts";

const short = { duration: { seconds: 1n } };

describe("AdminService", async () => {
  const server = await openServer({ pools: startedPools });
  after(() => server.remove());

  for (const way of [ways.grpc, ways.connectHttp1]) {
    const admin = server.clientOf(AdminService, way);

    test(`SetLogLevel over ${way.name} says what the level is and was, and gives the configured one back`, async () => {
      const first = await admin.setLogLevel({ level: LogLevel.ERROR, duration: { seconds: 3_600n } });
      const second = await admin.setLogLevel({});
      assert.deepEqual([first.level, first.previous], [LogLevel.ERROR, LogLevel.SILENT]);
      assert.deepEqual([second.level, second.previous], [LogLevel.SILENT, LogLevel.ERROR]);
    });

    test(`SetLogLevel over ${way.name} refuses what is no level and no such duration`, async () => {
      for (const duration of [{ seconds: 86_401n }, { nanos: 1_000_000 }, { seconds: -1n }]) {
        const error = await refused(admin.setLogLevel({ level: LogLevel.ERROR, duration }));
        assert.deepEqual([error.code, error.fields], ["InvalidArgument", ["duration"]]);
      }
      const error = await refused(admin.setLogLevel({ level: 99 as LogLevel }));
      assert.equal(error.code, "InvalidArgument");
      assert.equal((await admin.setLogLevel({})).previous, LogLevel.SILENT);
    });

    test(`Profile over ${way.name} names files for every thread, in the data folder`, async () => {
      const { profiles } = await admin.profile(short);
      const threads = profiles.map(({ thread }) => thread.replace(/-\d+$/, ""));
      assert.deepEqual(threads, ["main", "store", "cpu", "io", "held", "held"]);
      for (const { path, bytes, error } of profiles) {
        assert.equal(error, "");
        assert.ok(path.startsWith(join(server.folder, "data", "profiles")));
        assert.equal(readFileSync(path).length, Number(bytes));
      }
    });

    test(`Profile over ${way.name} refuses unknown threads, kinds and durations`, async () => {
      const unknown = await refused(admin.profile({ ...short, target: "gpu" }));
      assert.deepEqual([unknown.code, unknown.fields], ["InvalidArgument", ["target"]]);
      assert.match(unknown.message, /main, store, cpu, io, held, or empty/);
      for (const [field, request] of [
        ["duration", { duration: { seconds: 61n } }],
        ["duration", { duration: { nanos: 1 } }],
        ["target", { kind: Kind.HEAP }],
      ] as const) {
        const error = await refused(admin.profile(request));
        assert.deepEqual([error.code, error.fields], ["InvalidArgument", [field]]);
      }
      assert.equal((await refused(admin.profile({ kind: 99 as Kind }))).code, "InvalidArgument");
    });
  }

  test("a second Profile is refused while one is taken, and a caller that goes away ends its own", async () => {
    const admin = server.clientOf(AdminService, ways.grpc);
    const folders = () => readdirSync(join(server.folder, "data", "profiles")).length;
    const before = folders();
    const ending = new AbortController();
    const first = admin.profile({ target: "main", duration: { seconds: 60n } }, { signal: ending.signal });
    first.catch(() => undefined);
    await until(() => folders() > before);
    const busy = await refused(admin.profile({ ...short, target: "main" }));
    assert.deepEqual([busy.code, busy.reason], ["ResourceExhausted", "profile_running"]);
    assert.ok((busy.retryAfterMs ?? 0) > 1_000, "what is left of the minute");
    ending.abort();
    await assert.rejects(first);
    for (;;) {
      const { profiles } = await admin.profile({ ...short, target: "main" }).catch(() => ({ profiles: [] }));
      if (profiles[0]) return assert.ok(existsSync(profiles[0].path));
    }
  });
});
