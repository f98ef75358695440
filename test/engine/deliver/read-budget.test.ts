import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createSharedRoom, type Place } from "../../../src/engine/deliver/read-budget.ts";
import { countSteps } from "../../support/count-steps.ts";
import { turn } from "../../support/fake-clock.ts";

async function isGranted({ granted }: Place): Promise<boolean> {
  let settled = false;
  void granted.then(() => {
    settled = true;
  });
  await turn();
  return settled;
}

describe("the room", () => {
  test("a client alone gets half of it, to the last byte, and then waits until some is given back", async () => {
    const room = createSharedRoom(100);
    const [first, second] = [room.take("ada", 30), room.take("ada", 20)];
    assert.deepEqual([await isGranted(first), await isGranted(second)], [true, true]);
    const third = room.take("ada", 1);
    assert.equal(await isGranted(third), false);
    second.free();
    assert.equal(await isGranted(third), true);
    assert.equal(room.taken(), 31);
  });

  test("who reads finds room at once, however much clients before it hold that do not", async () => {
    const room = createSharedRoom(3_200);
    const stuck = Array.from({ length: 20 }, (_, index) => room.take(`stuck ${index % 10}`, 200));
    await Promise.all(stuck.map(isGranted));
    assert.ok(room.taken() < 3_200);
    for (let batch = 0; batch < 100; batch += 1) {
      const place = room.take("reads", 100);
      assert.equal(await isGranted(place), true);
      place.free();
    }
  });

  test("what is larger than any share is granted when nothing is taken", async () => {
    const room = createSharedRoom(100);
    const small = room.take("ada", 10);
    const large = room.take("bob", 500);
    assert.equal(await isGranted(large), false);
    small.free();
    assert.equal(await isGranted(large), true);
  });

  test("within a client who asks first is served first, also when a later one needs less", async () => {
    const room = createSharedRoom(100);
    const held = room.take("ada", 50);
    const [large, small] = [room.take("ada", 40), room.take("ada", 5)];
    held.resize(20);
    assert.deepEqual([await isGranted(large), await isGranted(small)], [false, false]);
    held.free();
    assert.deepEqual([await isGranted(large), await isGranted(small)], [true, true]);
  });

  test("among clients each has its turn, and one that asks for much keeps nobody waiting", async () => {
    const room = createSharedRoom(100);
    const all = room.take("first", 200);
    const asked = [room.take("ada", 20), room.take("ada", 20), room.take("bob", 20), room.take("eve", 90)];
    const late = room.take("zoe", 10);
    all.free();
    const granted = await Promise.all([...asked, late].map(isGranted));
    assert.deepEqual(granted, [true, false, true, false, true]);
  });

  test("one that asks for much is served in the end, however many that need little come and go", async () => {
    const room = createSharedRoom(100);
    const places = ["ada", "bob", "eve"].map((client) => room.take(client, 20));
    const large = room.take("zoe", 40);
    let served = 0;
    for (; served < 1_000 && !(await isGranted(large)); served += 1) {
      const at = served % places.length;
      const next = room.take(`small ${served}`, 20); // comes before the one before has gone
      places[at]?.free();
      places[at] = next;
    }
    assert.ok(served > 100 && served < 300, `after ${served} others`);
  });

  test("more than there is room for is refused, and less is at once there for others", async () => {
    const room = createSharedRoom(100);
    const place = room.take("ada", 40);
    assert.equal(place.resize(51), false);
    assert.equal(room.taken(), 40);
    assert.equal(place.resize(50), true);
    const other = room.take("ada", 30);
    assert.equal(await isGranted(other), false);
    assert.equal(place.resize(20), true);
    assert.equal(await isGranted(other), true);
  });

  test("what was given back, or not waited for, takes nothing any more", async () => {
    const room = createSharedRoom(100);
    const [place, waiting] = [room.take("ada", 50), room.take("ada", 50)];
    waiting.free();
    assert.equal(await isGranted(waiting), true); // whoever waits goes on
    place.free();
    place.free();
    assert.equal(place.resize(10), false);
    assert.equal(room.taken(), 0);
  });

  test("a thousand clients that wait and give up cost a few steps each, whatever their order", () => {
    const clients = 1_000;
    for (const isNewestFirst of [false, true]) {
      const room = createSharedRoom(100);
      const all = room.take("all", 200);
      const steps = countSteps(() => {
        const places = Array.from({ length: clients }, (_, index) => room.take(`client ${index}`, 40));
        if (isNewestFirst) places.reverse();
        for (const place of places) place.free();
      });
      assert.ok(steps <= 10 * clients, `${steps} steps`);
      all.free();
      assert.equal(room.taken(), 0);
    }
  });

  test("a place that is given back costs a few steps for each client that waits", () => {
    const clients = 300;
    const room = createSharedRoom(100);
    const all = room.take("all", 200);
    const places = Array.from({ length: clients }, (_, index) => room.take(`client ${index}`, 40));
    const steps = countSteps(() => {
      all.free(); // whoever is first is served, gives it back, and so on
      for (const place of places) place.free();
    });
    assert.ok(steps <= 10 * clients * clients, `${steps} steps`);
    assert.equal(room.taken(), 0);
  });

  test("who gives up while it waits lets those be served that waited for it", async () => {
    const room = createSharedRoom(100);
    room.take("ada", 30);
    const [large, small] = [room.take("ada", 40), room.take("ada", 5)];
    assert.equal(await isGranted(small), false);
    large.free();
    assert.equal(await isGranted(small), true);

    const overdue = room.take("zoe", 60);
    for (let count = 0; count < 200; count += 1) room.take(`small ${count}`, 1).free();
    const next = room.take("next", 1);
    assert.deepEqual([await isGranted(next), overdue.isGranted()], [false, false]);
    overdue.free();
    assert.equal(await isGranted(next), true);
  });

  test("is never exceeded by what fits into it, and all are served in the end", async () => {
    const step = fc.record({ client: fc.constantFrom("a", "b", "c", "d"), bytes: fc.integer({ min: 1, max: 50 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 3 }), async (steps, keep) => {
        const room = createSharedRoom(100);
        const places: Place[] = [];
        for (const { client, bytes } of steps) {
          places.push(room.take(client, bytes));
          assert.ok(room.taken() <= 100);
          if (places.length > keep) places.shift()?.free();
        }
        const served = places.map(async (place) => {
          await place.granted;
          assert.ok(room.taken() <= 100);
          place.free();
        });
        await Promise.all(served);
        assert.equal(room.taken(), 0);
      }),
    );
  });
});
