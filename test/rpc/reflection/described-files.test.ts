import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, createFileRegistry, type DescFile } from "@bufbuild/protobuf";
import { file_google_protobuf_any, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { Tasks } from "../../../src/pool/tasks.ts";
import { describeTasks } from "../../../src/rpc/list-tasks.ts";
import { type DescribedFiles, describeFiles, withImports } from "../../../src/rpc/reflection/described-files.ts";
import { ownFiles } from "../../../src/rpc/reflection/own-files.ts";
import { type FileInit, fileOf, lastOf, messageField, messageOf, tasksWith } from "./described.ts";

const typed = (file: DescFile, name = "Input") => messageOf(file, name);

/** Describes these tasks, and holds what comes to the promise: all of it fits together. */
function describe(tasks: Tasks): DescribedFiles {
  const described = describeFiles(ownFiles, tasks);
  const set = create(FileDescriptorSetSchema, { file: [...described.files.values()].map(({ proto }) => proto) });
  const registry = createFileRegistry(set); // throws where an import is missing or comes too late
  assert.equal([...registry.files].length, described.files.size);
  const symbols = [...described.files.values()].flatMap((file) => file.symbols);
  assert.equal(new Set(symbols).size, symbols.length, "no symbol is declared twice");
  return described;
}

const names = ({ files }: DescribedFiles) =>
  [...files.keys()].filter((name) => !/^(google|grpc|millpond)\//.test(name));

suite("files of tasks' types", () => {
  test("are there once, with all they import, whether one task has them or several, each with its own copy", () => {
    const make = () =>
      lastOf([
        fileOf("parts.proto", "shop", ["Part"]),
        fileOf("order.proto", "shop", [], {
          dependency: ["parts.proto"],
          messageType: [{ name: "Input", field: [messageField("part", 1, ".shop.Part")] }],
        }),
      ]);
    const described = describe(tasksWith({ one: typed(make()), two: typed(make()) }));
    assert.deepEqual(names(described), ["parts.proto", "order.proto"]);
    assert.deepEqual(described.leftOut, []);
  });

  test("of the same name and different content get the task's name in front, and those that import them follow", () => {
    const make = (packageName: string) =>
      lastOf([
        fileOf("part.proto", packageName, ["Part"]),
        fileOf("input.proto", packageName, [], {
          dependency: ["part.proto"],
          messageType: [{ name: "Input", field: [messageField("part", 1, `.${packageName}.Part`)] }],
        }),
      ]);
    const tasks = tasksWith({ mail: typed(make("mail")), scan: typed(make("scan")) });
    const described = describe(tasks);
    assert.deepEqual(names(described), ["part.proto", "input.proto", "scan/part.proto", "scan/input.proto"]);
    assert.deepEqual(described.files.get("scan/input.proto")?.proto.dependency, ["scan/part.proto"]);

    const { descriptors } = describeTasks(tasks, described);
    const registry = createFileRegistry(descriptors ?? create(FileDescriptorSetSchema));
    for (const type of ["mail.Input", "scan.Input"]) assert.ok(registry.getMessage(type), `ListTasks has ${type}`);
  });

  test("are once under their new name too, where several tasks share them", () => {
    const shared = () => fileOf("input.proto", "scan", ["Input"]);
    const own = fileOf("own.proto", "own", [], {
      dependency: ["input.proto"],
      messageType: [{ name: "Input", field: [messageField("of", 1, ".scan.Input")] }],
    });
    const mail = typed(lastOf([fileOf("input.proto", "mail", ["Input"])]));
    const described = describe(
      tasksWith({ mail, scan: typed(lastOf([shared()])), other: typed(lastOf([shared(), own])) }),
    );
    assert.deepEqual(described.leftOut, []);
    assert.deepEqual(names(described), ["input.proto", "scan/input.proto", "own.proto"]);
    assert.deepEqual(described.files.get("own.proto")?.proto.dependency, ["scan/input.proto"]);
  });

  test("that declare a symbol for the second time are left out with what is in both, and the others stay", () => {
    const first = lastOf([fileOf("first.proto", "shop", ["Input"])]);
    const second = lastOf([fileOf("second.proto", "shop", ["Input", "Other"])]);
    const importing = lastOf(
      [
        fileOf("third.proto", "third", [], {
          dependency: ["second.proto"],
          messageType: [{ name: "Input", field: [messageField("other", 1, ".shop.Other")] }],
        }),
      ],
      [second],
    );
    const good = lastOf([fileOf("good.proto", "good", ["Input"])]);
    const tasks = tasksWith({ a: typed(first), b: typed(second), c: typed(importing), d: typed(good) });
    const described = describe(tasks);
    assert.deepEqual(names(described), ["first.proto", "good.proto"]);
    const why = "second.proto declares shop.Input, and so does first.proto";
    assert.deepEqual(described.leftOut, [
      { task: "b", why },
      { task: "c", why },
    ]);
    assert.equal(describeTasks(tasks, described).descriptors?.file.length, 2);
  });

  test("that Millpond has itself are Millpond's, unless they declare what it does not have", () => {
    const older = fileOf("google/protobuf/any.proto", "google.protobuf", [], { messageType: [{ name: "Any" }] });
    const use: FileInit = fileOf("use.proto", "use", [], {
      dependency: ["google/protobuf/any.proto"],
      messageType: [{ name: "Input", field: [messageField("any", 1, ".google.protobuf.Any")] }],
    });
    const described = describe(tasksWith({ use: typed(lastOf([older, use])) }));
    assert.deepEqual(described.files.get("google/protobuf/any.proto")?.proto, file_google_protobuf_any.proto);
    assert.deepEqual([names(described), described.leftOut], [["use.proto"], []]);

    const newer = fileOf("google/protobuf/any.proto", "google.protobuf", ["Any", "Many"]);
    const { leftOut } = describe(tasksWith({ use: typed(lastOf([newer, use])) }));
    assert.deepEqual(
      leftOut.map(({ task }) => task),
      ["use"],
    );
  });

  test("may have any name", () => {
    for (const name of ["", ".", "../../etc/passwd", "a\nb", "x".repeat(5000), "__proto__"]) {
      const described = describe(tasksWith({ odd: typed(lastOf([fileOf(name, "odd", ["Input"])])) }));
      assert.deepEqual([names(described), described.leftOut], [[name], []]);
    }
  });

  test("may have any depth of imports", () => {
    const chain = Array.from({ length: 500 }, (_, at) =>
      fileOf(`${at}.proto`, `p${at}`, ["Input"], at > 0 ? { dependency: [`${at - 1}.proto`] } : {}),
    );
    const described = describe(tasksWith({ deep: typed(lastOf(chain)) }));
    const last = described.files.get("499.proto");
    assert.ok(last);
    assert.equal(withImports(last).length, 500);
  });
});
