import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createReadBudget, type Reservation } from "../../../src/engine/deliver/read-budget.ts";
import { countSteps } from "../../support/count-steps.ts";
import { turn } from "../../support/fake-clock.ts";

async function isGranted({ granted }: Reservation): Promise<boolean> {
  let settled = false;
  void granted.then(() => {
    settled = true;
  });
  await turn();
  return settled;
}

describe("the budget", () => {
  test("a client alone gets half of it, to the last byte, and then waits until some is given back", async () => {
    const budget = createReadBudget(100);
    const [first, second] = [budget.reserve("ada", 30), budget.reserve("ada", 20)];
    assert.deepEqual([await isGranted(first), await isGranted(second)], [true, true]);
    const third = budget.reserve("ada", 1);
    assert.equal(await isGranted(third), false);
    second.release();
    assert.equal(await isGranted(third), true);
    assert.equal(budget.reservedBytes(), 31);
  });

  test("who reads finds room at once, however much clients before it hold that do not", async () => {
    const budget = createReadBudget(3_200);
    const stuck = Array.from({ length: 20 }, (_, index) => budget.reserve(`stuck ${index % 10}`, 200));
    await Promise.all(stuck.map(isGranted));
    assert.ok(budget.reservedBytes() < 3_200);
    for (let batch = 0; batch < 100; batch += 1) {
      const reservation = budget.reserve("reads", 100);
      assert.equal(await isGranted(reservation), true);
      reservation.release();
    }
  });

  test("what is larger than any share is granted when nothing is taken", async () => {
    const budget = createReadBudget(100);
    const small = budget.reserve("ada", 10);
    const large = budget.reserve("bob", 500);
    assert.equal(await isGranted(large), false);
    small.release();
    assert.equal(await isGranted(large), true);
  });

  test("within a client who asks first is served first, also when a later one needs less", async () => {
    const budget = createReadBudget(100);
    const held = budget.reserve("ada", 50);
    const [large, small] = [budget.reserve("ada", 40), budget.reserve("ada", 5)];
    held.resize(20);
    assert.deepEqual([await isGranted(large), await isGranted(small)], [false, false]);
    held.release();
    assert.deepEqual([await isGranted(large), await isGranted(small)], [true, true]);
  });

  test("among clients each has its turn, and one that asks for much keeps nobody waiting", async () => {
    const budget = createReadBudget(100);
    const all = budget.reserve("first", 200);
    const asked = [
      budget.reserve("ada", 20),
      budget.reserve("ada", 20),
      budget.reserve("bob", 20),
      budget.reserve("eve", 90),
    ];
    const late = budget.reserve("zoe", 10);
    all.release();
    const granted = await Promise.all([...asked, late].map(isGranted));
    assert.deepEqual(granted, [true, false, true, false, true]);
  });

  test("one that asks for much is served in the end, however many that need little come and go", async () => {
    const budget = createReadBudget(100);
    const reservations = ["ada", "bob", "eve"].map((client) => budget.reserve(client, 20));
    const large = budget.reserve("zoe", 40);
    let served = 0;
    for (; served < 1_000 && !(await isGranted(large)); served += 1) {
      const at = served % reservations.length;
      const next = budget.reserve(`small ${served}`, 20); // comes before the one before has gone
      reservations[at]?.release();
      reservations[at] = next;
    }
    assert.ok(served > 100 && served < 300, `after ${served} others`);
  });

  test("more than there is room for is refused, and less is at once there for others", async () => {
    const budget = createReadBudget(100);
    const reservation = budget.reserve("ada", 40);
    assert.equal(reservation.resize(51), false);
    assert.equal(budget.reservedBytes(), 40);
    assert.equal(reservation.resize(50), true);
    const other = budget.reserve("ada", 30);
    assert.equal(await isGranted(other), false);
    assert.equal(reservation.resize(20), true);
    assert.equal(await isGranted(other), true);
  });

  test("what was given back, or not waited for, takes nothing any more", async () => {
    const budget = createReadBudget(100);
    const [reservation, waiting] = [budget.reserve("ada", 50), budget.reserve("ada", 50)];
    waiting.release();
    assert.equal(await isGranted(waiting), true); // whoever waits goes on
    reservation.release();
    reservation.release();
    assert.equal(reservation.resize(10), false);
    assert.equal(budget.reservedBytes(), 0);
  });

  test("a thousand clients that wait and give up cost a few steps each, whatever their order", () => {
    const clients = 1_000;
    for (const isNewestFirst of [false, true]) {
      const budget = createReadBudget(100);
      const all = budget.reserve("all", 200);
      const steps = countSteps(() => {
        const reservations = Array.from({ length: clients }, (_, index) => budget.reserve(`client ${index}`, 40));
        if (isNewestFirst) reservations.reverse();
        for (const reservation of reservations) reservation.release();
      });
      assert.ok(steps <= 10 * clients, `${steps} steps`);
      all.release();
      assert.equal(budget.reservedBytes(), 0);
    }
  });

  test("a reservation that is given back costs a few steps for each client that waits", () => {
    const clients = 300;
    const budget = createReadBudget(100);
    const all = budget.reserve("all", 200);
    const reservations = Array.from({ length: clients }, (_, index) => budget.reserve(`client ${index}`, 40));
    const steps = countSteps(() => {
      all.release(); // whoever is first is served, gives it back, and so on
      for (const reservation of reservations) reservation.release();
    });
    assert.ok(steps <= 10 * clients * clients, `${steps} steps`);
    assert.equal(budget.reservedBytes(), 0);
  });

  test("who gives up while it waits lets those be served that waited for it", async () => {
    const budget = createReadBudget(100);
    budget.reserve("ada", 30);
    const [large, small] = [budget.reserve("ada", 40), budget.reserve("ada", 5)];
    assert.equal(await isGranted(small), false);
    large.release();
    assert.equal(await isGranted(small), true);

    const overdue = budget.reserve("zoe", 60);
    for (let count = 0; count < 200; count += 1) budget.reserve(`small ${count}`, 1).release();
    const next = budget.reserve("next", 1);
    assert.deepEqual([await isGranted(next), overdue.isGranted()], [false, false]);
    overdue.release();
    assert.equal(await isGranted(next), true);
  });

  test("is never exceeded by what fits into it, and all are served in the end", async () => {
    const step = fc.record({ client: fc.constantFrom("a", "b", "c", "d"), bytes: fc.integer({ min: 1, max: 50 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 3 }), async (steps, keep) => {
        const budget = createReadBudget(100);
        const reservations: Reservation[] = [];
        for (const { client, bytes } of steps) {
          reservations.push(budget.reserve(client, bytes));
          assert.ok(budget.reservedBytes() <= 100);
          if (reservations.length > keep) reservations.shift()?.release();
        }
        const served = reservations.map(async (reservation) => {
          await reservation.granted;
          assert.ok(budget.reservedBytes() <= 100);
          reservation.release();
        });
        await Promise.all(served);
        assert.equal(budget.reservedBytes(), 0);
      }),
    );
  });
});
