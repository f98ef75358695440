/** Holds deploy/kubernetes to the product: what it names must be there, and what it promises must hold. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { suite, test } from "node:test";
import { createReadiness } from "../../src/engine/upkeep/readiness.ts";
import { createHealth } from "../../src/rpc/health.ts";
import { noResources } from "../support/samples.ts";
import { closeMs, configOf, deploy, needs, readOne, runs, type Yaml } from "./files.ts";

const statefulSet: Yaml = readOne("kubernetes/stateful-set.yaml");
const configuration: Yaml = readOne("kubernetes/configuration.yaml");
const pod = statefulSet.spec.template;
const [container] = pod.spec.containers;

/** Names that the health service knows. */
async function healthNames(): Promise<string[]> {
  const never = new AbortController().signal;
  const readiness = createReadiness({
    draining: never,
    failed: never,
    diskRefusal: () => undefined,
    brokenPools: () => [],
    pausedPools: () => [],
  });
  const { statuses } = await createHealth({ readiness, resources: noResources, closing: never }, new Map()).list(
    {} as never,
    {} as never,
  );
  return Object.keys(statuses);
}

suite("kubernetes", () => {
  const config = configOf({}, configuration.data["millpond.yaml"]);
  const ports = new Map<string, number>(container.ports.map((port: Yaml) => [port.name, port.containerPort]));

  test("gives settings that the server takes, on the ports that the manifests name", () => {
    assert.deepEqual([config.grpc.host, config.http.host], ["0.0.0.0", "0.0.0.0"]);
    assert.deepEqual([ports.get("grpc"), ports.get("http")], [config.grpc.port, config.http.port]);
    const service = readOne("kubernetes/service.yaml");
    for (const { port, targetPort } of service.spec.ports) assert.equal(ports.get(targetPort), port);
    for (const { ports: allowed } of readOne("kubernetes/network-policy.yaml").spec.ingress)
      for (const { port } of allowed) assert.ok(ports.has(port), port);
    assert.equal(Number(pod.metadata.annotations["prometheus.io/port"]), config.http.port);
  });

  test("probes ask the gRPC port for names that the health service knows", async () => {
    const names = await healthNames();
    for (const kind of ["startupProbe", "livenessProbe", "readinessProbe"]) {
      const { port, service } = container[kind].grpc;
      assert.equal(port, config.grpc.port, kind);
      assert.ok(names.includes(service), `${kind}: ${service}`);
    }
    assert.equal(container.livenessProbe.grpc.service, "liveness", "no restart for a full disk or a drain");
  });

  test("leaves time for preStop, for the drain and for connections to close", () => {
    const [, seconds] = / sleep (\d+)$/.exec(container.lifecycle.preStop.exec.command.at(-1)) ?? [];
    const neededMs = Number(seconds) * 1_000 + config.drainMs + config.graceMs + closeMs;
    assert.ok(pod.spec.terminationGracePeriodSeconds * 1_000 >= neededMs, `${neededMs} ms`);
  });

  test("runs the image's own command, also in preStop", () => {
    const dockerfile = readFileSync(join(deploy, "..", "Dockerfile"), "utf8");
    const [, entry = ""] = /^ENTRYPOINT (.*)$/m.exec(dockerfile) ?? [];
    assert.ok(container.lifecycle.preStop.exec.command.at(-1).startsWith(`${JSON.parse(entry).join(" ")} drain `));
    assert.deepEqual([container.command, container.args[0]], [undefined, "serve"]);
  });

  test("keeps one server on one volume, in the folder where its data is", () => {
    assert.equal(statefulSet.spec.replicas, 1);
    const mounts = new Map<string, string>(container.volumeMounts.map((each: Yaml) => [each.name, each.mountPath]));
    const declared = [...pod.spec.volumes, ...statefulSet.spec.volumeClaimTemplates.map((each: Yaml) => each.metadata)];
    assert.deepEqual(new Set(mounts.keys()), new Set(declared.map(({ name }: Yaml) => name)));
    assert.equal(mounts.get("data"), config.dataDir);
    const file = container.args.at(-1);
    assert.equal(basename(file), Object.keys(configuration.data)[0]);
    assert.ok(file.startsWith(`${mounts.get("configuration")}/`));
    const volume = pod.spec.volumes.find(({ name }: Yaml) => name === "configuration");
    assert.equal(volume.configMap.name, configuration.metadata.name);
  });

  test("selects its own pods", () => {
    const { labels } = pod.metadata;
    assert.deepEqual(statefulSet.spec.selector.matchLabels, labels);
    const service = readOne("kubernetes/service.yaml");
    assert.deepEqual(service.spec.selector, labels);
    assert.equal(statefulSet.spec.serviceName, service.metadata.name);
    assert.deepEqual(readOne("kubernetes/network-policy.yaml").spec.podSelector.matchLabels, labels);
  });

  test("runs as nobody in particular, with nothing to write to but its volumes, and within bounds", () => {
    const { securityContext } = container;
    assert.deepEqual(
      [securityContext.allowPrivilegeEscalation, securityContext.readOnlyRootFilesystem, securityContext.capabilities],
      [false, true, { drop: ["ALL"] }],
    );
    const { runAsNonRoot, runAsUser, seccompProfile } = pod.spec.securityContext;
    assert.ok(runAsNonRoot && runAsUser > 0);
    assert.equal(seccompProfile.type, "RuntimeDefault");
    assert.deepEqual([pod.spec.enableServiceLinks, pod.spec.automountServiceAccountToken], [false, false]);
    assert.deepEqual(Object.keys(container.resources.limits), ["cpu", "memory"]);
  });

  test("is what kustomize reads", { skip: needs(["kubectl", "version", "--client"]) }, () => {
    const made = runs(["kubectl", "kustomize", join(deploy, "kubernetes")]);
    for (const kind of ["ConfigMap", "NetworkPolicy", "Service", "StatefulSet"])
      assert.match(made, new RegExp(`^kind: ${kind}$`, "m"));
  });
});
