/** What makes a server NOT_SERVING, seen from outside on both ports: each cause when it comes, and when it goes. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { createClient } from "@connectrpc/connect";
import { parseConfig } from "../../src/config.ts";
import { createDiskWatermark } from "../../src/engine/admit/disk-watermark.ts";
import { createReadiness, type Readiness } from "../../src/engine/upkeep/readiness.ts";
import { HealthCheckResponse_ServingStatus as Status, Health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { createHealth, takesJobs, takesNoJobs } from "../../src/rpc/health.ts";
import { served } from "../../src/rpc/served.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import { typesOf } from "../../src/rpc/task-types.ts";
import { createFrontEnds } from "../../src/server/front-ends.ts";
import { createResourceHost } from "../../src/pool/resources/host.ts";
import { createFakeClock, turn } from "../support/fake-clock.ts";
import { diskIsTooLarge, moreThanFreeMiB } from "../support/full-disk.ts";
import { keptLog } from "../support/samples.ts";
import { openServer, type TestServer, ways } from "./fixtures.ts";

const { SERVING, NOT_SERVING } = Status;
const jobs = "millpond.v1.WorkerPoolService";
const admin = "millpond.v1.AdminService";
const bsize = 4096;
const blocks = (mebibytes: number) => (mebibytes * 2 ** 20) / bsize;

/** Both ports with health over a disk, pools, a door and a store that the test holds in its hands. */
async function open(t: TestContext) {
  const { log } = keptLog();
  const clock = createFakeClock();
  const [draining, failed, closing] = [new AbortController(), new AbortController(), new AbortController()];
  let freeMiB = 1000;
  let broken: readonly string[] = [];
  const disk = createDiskWatermark({
    ...{ path: "/data", leastFreeMiB: 256, clock, log, freeInside: async () => 0 },
    statfs: async () => ({ bsize, blocks: blocks(100_000), bavail: blocks(freeMiB) }),
    onChanged: () => readiness.update(),
  });
  const readiness: Readiness = createReadiness({
    ...{ draining: draining.signal, failed: failed.signal },
    ...{ diskRefusal: disk.refusal, brokenPools: () => broken, pausedPools: () => [] },
  });
  const host = createResourceHost({
    resources: [{ name: "billing", settings: undefined, permits: {}, hasProbe: false }],
    ...{ clock, log, onChanged: readiness.update },
  });
  const thread = host.join({ pool: "io", uses: [], probed: [], send() {} });
  const names = new Map([
    [jobs, takesJobs],
    [admin, takesNoJobs],
  ]);
  const health = served(Health, createHealth({ readiness, resources: host, closing: closing.signal }, names));
  const fronts = createFrontEnds({
    config: parseConfig({
      file: { name: "test.yaml", text: "{grpc: {port: 0}, http: {port: 0}}" },
      env: {},
      flags: {},
      cores: 2,
    }),
    ...{
      services: [health],
      tasks: () => new Map(),
      types: typesOf(new Map()),
      readiness,
      clock,
      log,
      random: Math.random,
    },
    registry: createRegistry(clock),
  });
  await disk.start();
  for (const each of [fronts.grpc, fronts.http]) await each.start();
  t.after(async () => {
    closing.abort();
    await disk.stop();
    const stopped = [fronts.grpc, fronts.http].map((each) => each.stop());
    clock.advance(2_000); // clients keep their connections
    await Promise.all(stopped);
  });
  const addresses = { grpcAddress: fronts.grpc.address(), httpAddress: fronts.http.address() };
  const clients = [ways.grpc, ways.connectHttp1].map((way) => createClient(Health, way.transport(addresses)));
  return {
    ...{ draining, failed, clients },
    report: (part: string, problem?: string) => thread.receive({ kind: "report", resource: "billing", part, problem }),
    async setFree(mebibytes: number) {
      freeMiB = mebibytes;
      clock.advance(1_000);
      await turn();
    },
    setBroken(pools: readonly string[]) {
      broken = pools;
      readiness.update();
    },
    /** What each watch of these names says next, on both ports. */
    watch(names: readonly string[]) {
      const all = clients.flatMap((client) =>
        names.map((service) => client.watch({ service })[Symbol.asyncIterator]()),
      );
      return async () => {
        const said = await Promise.all(all.map(async (each) => (await each.next()).value?.status));
        assert.equal(new Set(said).size, 1, `all say the same: ${said.join()}`);
        return said[0];
      };
    },
    async check(service: string) {
      return (await clients[0]?.check({ service }))?.status;
    },
    page: (path: string) => pageOf(addresses, path),
  };
}

async function pageOf({ httpAddress }: Pick<TestServer, "httpAddress">, path: string) {
  const response = await fetch(`http://${httpAddress}${path}`);
  const { status, reasons = [] } = (await response.json()) as { status: string; reasons?: { reason: string }[] };
  return [response.status, status, reasons.map(({ reason }) => reason)];
}

const forJobs = ["", "readiness", jobs];

test("a full disk turns what takes jobs NOT_SERVING, and SERVING again once there is room", async (t) => {
  const { setFree, watch, check, page } = await open(t);
  const says = watch(forJobs);
  assert.equal(await says(), SERVING);
  await setFree(255);
  assert.equal(await says(), NOT_SERVING);
  assert.deepEqual(await page("/readyz"), [503, "NOT_SERVING", ["disk_full"]]);
  assert.deepEqual(await page("/healthz"), [200, "SERVING", []]);
  assert.deepEqual([await check(admin), await check("liveness")], [SERVING, SERVING], "for those who make room");
  await setFree(256);
  assert.equal(await says(), SERVING);
  assert.deepEqual(await page("/readyz"), [200, "SERVING", []]);
});

test("a broken pool turns what takes jobs NOT_SERVING, and one cause that ends leaves another", async (t) => {
  const { setFree, setBroken, watch, check, page } = await open(t);
  const says = watch(forJobs);
  assert.equal(await says(), SERVING);
  setBroken(["cpu"]);
  assert.equal(await says(), NOT_SERVING);
  await setFree(0);
  setBroken([]);
  assert.deepEqual(await page("/readyz"), [503, "NOT_SERVING", ["disk_full"]]);
  assert.equal(await check(jobs), NOT_SERVING);
  await setFree(1000);
  assert.equal(await says(), SERVING);
});

test("a drain turns every service NOT_SERVING for good, and the server is alive", async (t) => {
  const { draining, watch, check, page } = await open(t);
  const says = watch([...forJobs, admin]);
  assert.equal(await says(), SERVING);
  draining.abort();
  assert.equal(await says(), NOT_SERVING);
  assert.deepEqual(await page("/readyz"), [503, "NOT_SERVING", ["draining"]]);
  assert.deepEqual([await check("liveness"), await page("/healthz")], [SERVING, [200, "SERVING", []]]);
});

test("a store that fails turns everything NOT_SERVING for good, liveness too", async (t) => {
  const { failed, watch, page } = await open(t);
  const says = watch([...forJobs, admin, "liveness"]);
  assert.equal(await says(), SERVING);
  failed.abort(new Error("disk I/O error"));
  assert.equal(await says(), NOT_SERVING);
  for (const path of ["/readyz", "/healthz"])
    assert.deepEqual(await page(path), [503, "NOT_SERVING", ["store_failed"]], path);
});

test("List says the status of everything that may be asked for", async (t) => {
  const { setFree, clients } = await open(t);
  await setFree(0);
  for (const client of clients) {
    const { statuses } = await client.list({});
    assert.deepEqual(Object.fromEntries(Object.entries(statuses).map(([name, { status }]) => [name, status])), {
      "": NOT_SERVING,
      liveness: SERVING,
      readiness: NOT_SERVING,
      [jobs]: NOT_SERVING,
      [admin]: SERVING,
      "millpond.resource/billing": SERVING,
    });
  }
});

describe("a whole server", () => {
  test("says that its disk is too full, on every way to ask", { skip: diskIsTooLarge }, async (t) => {
    const server = await openServer({ limits: { diskFreeMiB: moreThanFreeMiB } });
    t.after(() => server.remove());
    const watch = server.clientOf(Health, ways.grpc).watch({ service: jobs })[Symbol.asyncIterator]();
    while ((await watch.next()).value?.status !== NOT_SERVING);
    assert.deepEqual(await pageOf(server, "/readyz"), [503, "NOT_SERVING", ["disk_full"]]);
    assert.deepEqual(await pageOf(server, "/healthz?verbose"), [200, "SERVING", []]);
  });
});

test("a resource that is away is a service that is NOT_SERVING, with its parts, and all else goes on", async (t) => {
  const { report, watch, check, page } = await open(t);
  const says = watch(["millpond.resource/billing"]);
  assert.equal(await says(), SERVING);
  report("us", undefined);
  report("eu", "no route to host");
  assert.equal(await says(), NOT_SERVING);
  assert.deepEqual(
    [await check("millpond.resource/billing.eu"), await check("millpond.resource/billing.us")],
    [NOT_SERVING, SERVING],
  );
  assert.deepEqual([await check(""), await check(jobs)], [SERVING, SERVING]);
  assert.deepEqual(await page("/readyz"), [200, "SERVING", []]);
  report("eu");
  assert.equal(await says(), SERVING);
});

test("a resource that nobody has is an unknown service", async (t) => {
  const { check } = await open(t);
  await assert.rejects(check("millpond.resource/bills"), /there are: .*millpond\.resource\/billing/);
});
