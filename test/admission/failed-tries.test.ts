import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { FailedTries, mostWaitMs } from "../../src/admission/failed-tries.ts"

const guess = (tries: FailedTries, address: string, times: number, now = 0): void => {
  for (let time = 0; time < times; time += 1) tries.failed(address, `guess ${time} at ${now}`, now)
}

describe("whoever guesses keys", () => {
  test("waits longer and longer from the sixth on, up to two seconds", () => {
    const tries = new FailedTries()
    const waits = Array.from({ length: 12 }, (_, time) => {
      tries.failed("192.0.2.1", `guess ${time}`, 0)
      return tries.waitMs("192.0.2.1", 0)
    })
    expect(waits).toEqual([0, 0, 0, 0, 0, 200, 400, 800, 1600, 2000, 2000, 2000])
  })

  test("is forgotten when nothing more comes", () => {
    const tries = new FailedTries()
    guess(tries, "192.0.2.1", 20)
    expect(tries.waitMs("192.0.2.1", 160_000)).toBe(0)
    expect(tries.waitMs("192.0.2.1", 200_000)).toBe(0)
    expect(tries.none).toBe(true)
  })

  test("is known by the network of an IPv6 address, and by an IPv4 one however it is written", () => {
    const tries = new FailedTries()
    for (let time = 0; time < 20; time += 1) tries.failed(`2001:db8:0:1::${time.toString(16)}`, `guess ${time}`, 0)
    expect(tries.waitMs("2001:0db8:0000:0001:9::1", 0)).toBe(mostWaitMs)
    expect(tries.waitMs("2001:db8:0:2::1", 0)).toBe(0)
    guess(tries, "::ffff:192.0.2.1", 20)
    expect(tries.waitMs("192.0.2.1", 0)).toBe(mostWaitMs)
  })

  test("keeps nobody at another address waiting, and nobody for longer than two seconds (law)", () => {
    const address = fc.ipV4()
    fc.assert(
      fc.property(fc.array(fc.tuple(address, fc.string(), fc.nat({ max: 1_000_000 }))), address, (all, other) => {
        const tries = new FailedTries()
        for (const [from, key, now] of all) tries.failed(from, key, now)
        for (const [from, , now] of all) {
          expect(tries.waitMs(from, now)).toBeGreaterThanOrEqual(0)
          expect(tries.waitMs(from, now)).toBeLessThanOrEqual(mostWaitMs)
        }
        if (!all.some(([from]) => from === other)) expect(tries.waitMs(other, 0)).toBe(0)
      })
    )
  })
})

test("a client that sends the same wrong key again and again slows nobody at its address", () => {
  const tries = new FailedTries()
  for (let time = 0; time < 1000; time += 1) tries.failed("192.0.2.1", "of yesterday", time)
  expect(tries.waitMs("192.0.2.1", 1000)).toBe(0)
})

test("ten thousand addresses are remembered, those that failed last", () => {
  const tries = new FailedTries()
  for (let at = 0; at < 20_000; at += 1) tries.failed(`10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`, "guess", at)
  expect(tries.size).toBe(10_000)
  guess(tries, "10.0.0.1", 10, 20_000)
  expect(tries.waitMs("10.0.0.1", 20_000)).toBeGreaterThan(0)
})

test("each wrong key that came here is told to other processes once, and none that they told of", () => {
  const [here, there] = [new FailedTries(), new FailedTries()]
  here.failed("192.0.2.1", "before anybody asks", 0)
  expect(here.take()).toEqual([])
  guess(here, "192.0.2.1", 6, 10)
  guess(here, "192.0.2.1", 6, 10)
  there.take()
  for (const each of here.take()) there.note(each, 10)
  expect(there.waitMs("192.0.2.1", 10)).toBeGreaterThan(0)
  expect([...here.take(), ...there.take()]).toEqual([])
  guess(here, "192.0.2.1", 600, 20)
  expect(here.take().length).toBe(500)
})
