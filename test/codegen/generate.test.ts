/**
 * README's lines that generate clients in other languages, run as they stand there on the whole folder `proto`, and the
 * code they make compiled or imported. Slow, as it installs each language's own packages: `npm test` leaves it out and
 * .ci/run has it as a step. A language that this machine does not have is skipped by name.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, suite, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "millpond-codegen-"));
after(() => {
  run("chmod", ["-R", "u+w", folder]); // Go keeps its modules read-only
  rmSync(folder, { recursive: true, force: true });
});

const bin = join(folder, "bin");
const python = join(folder, "venv/bin/python");
const env = { ...process.env, GOBIN: bin, PROTOC: join(bin, "protoc"), PATH: `${bin}${delimiter}${process.env.PATH}` };

/** The command below the comment in README that begins with this name. */
function readmeLine(language: string): string {
  const line = new RegExp(`^(?:#|//) ${language}: .*\\n((?:.*\\\\\\n)*.*)$`, "m").exec(readme)?.[1];
  assert.ok(line, `README says how to generate ${language}`);
  return line;
}

/** A folder with a copy of `proto` and an empty `gen`, as the reader of README has them. */
function project(name: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, "gen"), { recursive: true });
  cpSync(join(root, "proto"), join(path, "proto"), { recursive: true });
  return path;
}

function run(file: string, args: readonly string[], cwd = folder): string {
  const { status, stdout, stderr, error } = spawnSync(file, args, { cwd, env, encoding: "utf8" });
  assert.equal(status, 0, `${file} ${args.join(" ")}\n${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`);
  return stdout;
}

const shell = (line: string, cwd: string) => run("bash", ["-c", line], cwd);
const has = (command: string) => spawnSync(command, ["--help"]).error === undefined;
const needs = (...commands: readonly string[]) => {
  const missing = commands.filter((command) => !has(command));
  return missing.length > 0 && `${missing.join(" and ")} not installed`;
};

suite("README's lines generate working code from the whole folder", () => {
  /** The compiler of Python's package, under the name that the lines use: no machine needs another. */
  function installCompiler(): void {
    if (existsSync(python)) return;
    mkdirSync(bin, { recursive: true });
    run("python3", ["-m", "venv", join(folder, "venv")]);
    run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "grpcio-tools==1.85.1"]);
    writeFileSync(join(bin, "protoc"), `#!/bin/sh\nexec "${python}" -m grpc_tools.protoc "$@"\n`);
    writeFileSync(join(bin, "python"), `#!/bin/sh\nexec "${python}" "$@"\n`);
    for (const name of ["protoc", "python"]) chmodSync(join(bin, name), 0o755);
  }

  test("Python", { skip: needs("python3") }, () => {
    installCompiler();
    const path = project("python");
    shell(readmeLine("Python"), path);
    const use = [
      "from millpond.v1 import worker_pool_pb2, worker_pool_pb2_grpc, admin_pb2_grpc",
      "from millpond.tasks.v1 import image_pb2",
      "print(worker_pool_pb2_grpc.WorkerPoolServiceStub.__name__, image_pb2.ImageResizeInput(width=3).width)",
    ];
    assert.equal(run(python, ["-c", use.join("\n")], join(path, "gen")), "WorkerPoolServiceStub 3\n");
  });

  test("Go", { skip: needs("python3", "go") }, () => {
    installCompiler();
    const path = project("go");
    run("go", ["install", "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11"]);
    run("go", ["install", "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2"]);
    shell(readmeLine("Go"), path);
    writeFileSync(join(path, "go.mod"), "module example.com/uses\n\ngo 1.24\n");
    writeFileSync(
      join(path, "main.go"),
      `package main

import (
	"fmt"

	tasks "example.com/uses/gen/millpond/tasks/v1"
	millpond "example.com/uses/gen/millpond/v1"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // what errors carry: a second copy of it would panic here
)

func main() {
	fmt.Println(millpond.WorkerPoolService_ServiceDesc.ServiceName, (&tasks.ImageResizeInput{Width: 3}).GetWidth())
}
`,
    );
    run("go", ["mod", "tidy"], path);
    assert.equal(run("go", ["run", "."], path), "millpond.v1.WorkerPoolService 3\n");
  });

  test("Java", { skip: needs("python3", "mvn") || (process.platform !== "linux" && "not Linux") }, () => {
    installCompiler();
    const path = project("java");
    const wellKnown = run(python, ["-c", "import grpc_tools; print(grpc_tools.__path__[0])"]).trim();
    symlinkSync(join(wellKnown, "_proto"), join(folder, "include")); // where a protoc looks for google/protobuf
    const kind = process.arch === "arm64" ? "linux-aarch_64" : "linux-x86_64";
    const tools = join(folder, "java-bin");
    for (const [group, name, version] of [
      ["com.google.protobuf", "protoc", "4.32.1"], // that of Python's package has no Java
      ["io.grpc", "protoc-gen-grpc-java", "1.76.0"],
    ] as const) {
      const artifact = `-Dartifact=${group}:${name}:${version}:exe:${kind}`;
      const copy = ["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy", artifact];
      run("mvn", [...copy, `-DoutputDirectory=${tools}`, "-Dmdep.stripVersion=true"]);
      renameSync(join(tools, `${name}-${kind}.exe`), join(tools, name));
      chmodSync(join(tools, name), 0o755);
    }
    shell(`PATH="${tools}:$PATH"\n${readmeLine("Java")}`, path);
    for (const file of ["v1/WorkerPoolServiceGrpc", "v1/SubmitRequest", "tasks/v1/ImageResizeInput"]) {
      assert.ok(existsSync(join(path, `gen/io/millpond/${file}.java`)), file);
    }
  });

  test("Rust", { skip: needs("python3", "cargo") }, () => {
    installCompiler();
    const path = project("rust");
    mkdirSync(join(path, "src"));
    const crates = ["tonic", "tonic-prost", "prost", "prost-types"].map((crate) => `${crate} = "0.14"`).join("\n");
    writeFileSync(
      join(path, "Cargo.toml"),
      `[package]\nname = "uses"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n${crates}\n\n[build-dependencies]\ntonic-prost-build = "0.14"\n`,
    );
    writeFileSync(
      join(path, "build.rs"),
      `fn main() -> std::io::Result<()> {\n    ${readmeLine("Rust")}\n    Ok(())\n}\n`,
    );
    writeFileSync(
      join(path, "src/main.rs"),
      `mod millpond { pub mod v1 { tonic::include_proto!("millpond.v1"); } }
fn main() { println!("{}", millpond::v1::SubmitRequest { jobs: vec![Default::default()] }.jobs.len()); }
`,
    );
    assert.equal(run("cargo", ["run", "--quiet"], path), "1\n");
  });
});
