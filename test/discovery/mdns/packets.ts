/**
 * Records of mDNS packets as the package hands them over, and packets as a stranger might send them.
 */
import fc from "fast-check"

const type = "_ollama._tcp"

/** What a server says of itself; `ttl` 0 takes it back. */
export const announced = (
  label: string,
  addresses: ReadonlyArray<string>,
  options: {
    readonly port?: number
    readonly ttl?: number
    readonly txt?: ReadonlyArray<string>
    readonly type?: string
  } = {}
): ReadonlyArray<unknown> => {
  const { port = 11434, ttl = 120, txt = [] } = options
  const service = `${options.type ?? type}.local`
  const name = `${label}.${service}`
  const host = `${label.toLowerCase().replace(/[^a-z0-9]/g, "-")}.local`
  return [
    { name: service, type: "PTR", ttl, data: name },
    { name, type: "SRV", ttl, flush: true, data: { priority: 0, weight: 0, port, target: host } },
    { name, type: "TXT", ttl, flush: true, data: txt.map((each) => Buffer.from(each)) },
    ...addresses.map((data) => ({ name: host, type: data.includes(":") ? "AAAA" : "A", ttl, flush: true, data }))
  ]
}

const name = fc.oneof(
  fc.constantFrom(`${type}.local`, `a.${type}.local`, `b.${type}.local`, "h.local", "g.local", ""),
  fc.string({ maxLength: 300 })
)

const number = fc.oneof(fc.integer({ min: -2, max: 70_000 }), fc.double(), fc.constant(Number.NaN))

const data = fc.oneof(
  name,
  fc.record({ port: fc.oneof(number, fc.constant(11434)), target: name }),
  fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 40 }),
  fc.ipV4(),
  fc.ipV6(),
  fc.constantFrom("10.0.0.9", "127.0.0.1", "8.8.8.8", "fe80::1"),
  fc.anything()
)

const record = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      name,
      type: fc.constantFrom("PTR", "SRV", "TXT", "A", "AAAA", "NSEC"),
      ttl: number,
      flush: fc.boolean(),
      data
    })
  },
  { weight: 1, arbitrary: fc.anything() }
)

/** The records of any packet at all, hostile ones included. */
export const anyRecords: fc.Arbitrary<ReadonlyArray<unknown>> = fc.array(record, { maxLength: 40 })
