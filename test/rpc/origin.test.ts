/** Which names and web pages the HTTP port serves. */
import assert from "node:assert/strict";
import { type IncomingHttpHeaders, request } from "node:http";
import { text } from "node:stream/consumers";
import { after, describe, test, type TestContext } from "node:test";
import { MillpondError } from "../../src/errors.ts";
import { createOriginCheck } from "../../src/rpc/origin.ts";
import { openServer, type TestServer } from "./fixtures.ts";
import { portOf } from "./raw.ts";

/** Why a request is refused; "served" when it is not, with the page that may read the answer. */
function verdict(
  bound: string,
  host: string | undefined,
  origin?: string,
  lists: { readonly hosts?: readonly string[]; readonly origins?: readonly string[] } = {},
): string {
  try {
    const page = createOriginCheck({ host: bound, hosts: [], origins: [], ...lists }).admit({ host, origin });
    return page === null ? "served" : `served to ${page}`;
  } catch (error) {
    assert.ok(error instanceof MillpondError);
    return error.reason;
  }
}

describe("a port on loopback", () => {
  const own = [
    "localhost",
    "LOCALHOST:7718",
    "localhost.",
    "app.localhost:1",
    "127.0.0.1",
    "127.9.9.9:7718",
    "[::1]:7718",
    "[0:0::1]",
  ];
  for (const host of own) test(`serves ${host}`, () => assert.equal(verdict("127.0.0.1", host), "served"));

  const others = [
    "evil.example",
    "evil.example:7718",
    "localhost.evil.example",
    "notlocalhost",
    "millpond",
    "10.0.0.1",
    "[2001:db8::1]",
    "127.evil.example",
    "2130706433",
  ];
  for (const host of others) {
    test(`refuses ${host}`, () => assert.equal(verdict("127.0.0.1", host), "host_not_allowed"));
  }

  for (const host of [undefined, "", "[", "a b", "%zz", "x:99999", "x:", "a@localhost", "localhost/x", "::1", "[zz]"]) {
    test(`takes ${JSON.stringify(host)} for a bad request`, () => {
      assert.equal(verdict("127.0.0.1", host), "malformed_request");
    });
  }

  test("serves the names of http.hosts, and with a dot all below them", () => {
    const hosts = ["jobs.example", ".svc.cluster.local"];
    const names = [
      "jobs.example:80",
      "JOBS.example",
      "x.jobs.example",
      "millpond.a.svc.cluster.local",
      "svc.cluster.local",
      "evilsvc.cluster.local",
    ];
    assert.deepEqual(
      names.map((host) => verdict("::1", host, undefined, { hosts })),
      ["served", "served", "host_not_allowed", "served", "served", "host_not_allowed"],
    );
  });
});

describe("a port that other machines can reach", () => {
  for (const bound of ["0.0.0.0", "::", "10.1.2.3", "millpond.example"]) {
    test(`serves addresses, names without a dot and its own name, and refuses other names: ${bound}`, () => {
      const names = [
        "10.1.2.3:7718",
        "[2001:db8::1]:7718",
        "localhost",
        "millpond:7718",
        "millpond.example",
        "evil.example",
      ];
      const last = bound === "millpond.example" ? "served" : "host_not_allowed";
      assert.deepEqual(
        names.map((host) => verdict(bound, host)),
        ["served", "served", "served", "served", last, "host_not_allowed"],
      );
    });
  }
});

describe("a web page", () => {
  test("of the server itself is served, also behind TLS", () => {
    assert.equal(verdict("127.0.0.1", "localhost:7718", "http://localhost:7718"), "served");
    assert.equal(verdict("127.0.0.1", "localhost:7718", "https://LOCALHOST:7718"), "served");
  });

  for (const origin of [
    "http://evil.example",
    "http://localhost:3000",
    "https://localhost",
    "null",
    "file://",
    "http://localhost:7718.evil.example",
  ]) {
    test(`of ${origin} is refused`, () => {
      assert.equal(verdict("127.0.0.1", "localhost:7718", origin), "origin_not_allowed");
    });
  }

  test("of http.origins is served, by its whole origin", () => {
    const origins = ["https://app.example:8443"];
    const pages = [
      "https://app.example:8443",
      "HTTPS://app.example:8443",
      "https://app.example",
      "http://app.example:8443",
    ];
    assert.deepEqual(
      pages.map((page) => verdict("127.0.0.1", "localhost", page, { origins })),
      [
        "served to https://app.example:8443",
        "served to https://app.example:8443",
        "origin_not_allowed",
        "origin_not_allowed",
      ],
    );
  });

  test("whose name points to 127.0.0.1 is refused by that name, not by its origin", () => {
    assert.equal(verdict("127.0.0.1", "evil.example", "http://evil.example"), "host_not_allowed");
  });
});

const stats = "/millpond.v1.WorkerPoolService/Stats";
type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string };
type Given = {
  readonly method?: string;
  readonly path?: string;
  readonly headers: { readonly [name: string]: string };
};

function ask({ httpAddress }: TestServer, { method = "POST", path = stats, headers }: Given): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: "127.0.0.1", port: portOf(httpAddress), method, path, headers, agent: false },
      (answer) => {
        text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }), reject);
      },
    );
    sent.on("error", reject).end(method === "POST" ? "{}" : undefined);
  });
}

const json = { "content-type": "application/json" };
const page = "https://app.example";

describe("over the network", async () => {
  const server = await openServer({ http: { hosts: ["jobs.example"], origins: [page] } });
  after(() => server.remove());

  const reasonOf = ({ body }: Answer) =>
    Buffer.from((JSON.parse(body) as { details: { value: string }[] }).details[0]?.value ?? "", "base64").toString();

  test("a page that lets its name point here gets 403", async () => {
    const answer = await ask(server, { headers: { ...json, host: "evil.example", origin: "http://evil.example" } });
    assert.equal(answer.status, 403);
    assert.match(
      answer.body,
      /"code":"permission_denied","message":"the HTTP port does not serve under the name \\"evil/,
    );
    assert.match(reasonOf(answer), /host_not_allowed/);
  });

  test("a page of another origin gets 403, and is not told more", async () => {
    const answer = await ask(server, { headers: { ...json, host: "localhost", origin: "http://evil.example" } });
    assert.equal(answer.status, 403);
    assert.match(reasonOf(answer), /origin_not_allowed/);
    assert.equal(answer.headers["access-control-allow-origin"], undefined);
  });

  test("/healthz is held to the same", async () => {
    const probe = (headers: Given["headers"]) => ask(server, { method: "GET", path: "/healthz", headers });
    const answers = [
      await probe({ host: "evil.example" }),
      await probe({ host: "localhost", origin: "http://evil.example" }),
      await probe({ host: "jobs.example" }),
      await probe({ host: "127.0.0.1:7718" }),
    ];
    assert.deepEqual(
      answers.map(({ status }) => status),
      [403, 403, 200, 200],
    );
  });

  test("a page of http.origins may ask beforehand, call, and read the answer", async () => {
    const asked = {
      ...{ host: "localhost", origin: page },
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type,connect-protocol-version,millpond-client",
    };
    const preflight = await ask(server, { method: "OPTIONS", headers: asked });
    assert.deepEqual([preflight.status, preflight.body], [204, ""]);
    assert.equal(preflight.headers["access-control-allow-origin"], page);
    assert.match(String(preflight.headers["access-control-allow-methods"]), /POST/);
    const allowed = String(preflight.headers["access-control-allow-headers"]).toLowerCase().split(", ");
    const needed = [
      "content-type",
      "connect-protocol-version",
      "connect-timeout-ms",
      "x-grpc-web",
      "x-user-agent",
      "grpc-timeout",
      "millpond-client",
      "traceparent",
    ];
    assert.deepEqual(
      needed.filter((name) => !allowed.includes(name)),
      [],
    );

    const answer = await ask(server, { headers: { ...json, host: "jobs.example", origin: page } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["access-control-allow-origin"], page);
    assert.equal(answer.headers["vary"], "origin");
    const front = await ask(server, { method: "GET", path: "/", headers: { host: "jobs.example", origin: page } });
    assert.equal(front.headers["vary"], "origin, accept");
    const exposed = String(answer.headers["access-control-expose-headers"]).toLowerCase();
    for (const name of ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-retry-pushback-ms"]) {
      assert.ok(exposed.includes(name), name);
    }
  });

  test("a preflight of another origin gets 403", async () => {
    const headers = { host: "localhost", origin: "http://evil.example", "access-control-request-method": "POST" };
    const preflight = await ask(server, { method: "OPTIONS", headers });
    assert.deepEqual([preflight.status, preflight.headers["access-control-allow-origin"]], [403, undefined]);
  });

  test("gRPC-Web is refused in its own form", async () => {
    for (const type of ["application/grpc-web", "application/grpc-web+proto"]) {
      const { status, headers } = await ask(server, { headers: { "content-type": type, host: "evil.example" } });
      assert.deepEqual([status, headers["content-type"], headers["grpc-status"]], [200, type, "7"]);
      assert.match(Buffer.from(String(headers["grpc-status-details-bin"]), "base64").toString(), /host_not_allowed/);
    }
  });
});

test("a port bound to all addresses serves a probe that asks for the machine's address", async (t: TestContext) => {
  const server = await openServer({ http: { host: "0.0.0.0" }, allowInsecure: true });
  t.after(() => server.remove());
  const probe = async (host: string) =>
    (await ask(server, { method: "GET", path: "/healthz", headers: { host } })).status;
  assert.deepEqual(
    [await probe("10.244.1.7:7718"), await probe("millpond"), await probe("evil.example")],
    [200, 200, 403],
  );
});
