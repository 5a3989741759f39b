/**
 * EndpointSlices of Kubernetes (discovery.k8s.io/v1) as far as they tell which servers are behind a Service.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { MemberPlace, Followed } from "../../backend/followed.ts"

const maybe = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const SliceEndpoint = Schema.Struct({
  addresses: Schema.Array(Schema.String),
  conditions: maybe(Schema.Struct({ ready: maybe(Schema.Boolean) })),
  hostname: maybe(Schema.String),
  targetRef: maybe(Schema.Struct({ kind: maybe(Schema.String), name: maybe(Schema.String) }))
})

const SlicePort = Schema.Struct({
  name: maybe(Schema.String),
  port: maybe(Schema.Int),
  protocol: maybe(Schema.String)
})

/** A slice. */
export const EndpointSlice = Schema.Struct({
  metadata: Schema.Struct({ name: Schema.String }),
  addressType: Schema.String,
  endpoints: maybe(Schema.Array(SliceEndpoint)),
  ports: maybe(Schema.Array(SlicePort))
})

/** Type of {@link EndpointSlice}. */
export type EndpointSlice = typeof EndpointSlice.Type

/** A page of a list of them. */
export const SliceList = Schema.Struct({
  metadata: Schema.Struct({ resourceVersion: Schema.String, continue: maybe(Schema.String) }),
  items: Schema.NullOr(Schema.Array(EndpointSlice))
})

/** One line of a watch; what it is about is looked at by its kind. */
export const WatchEvent = Schema.Struct({
  type: Schema.String,
  object: Schema.Unknown
})

/** What every object of a watch says of itself. */
export const Versioned = Schema.Struct({ metadata: Schema.Struct({ resourceVersion: Schema.String }) })

/** What the API says of a request that it does not grant. */
export const ApiStatus = Schema.Struct({
  message: maybe(Schema.String),
  code: maybe(Schema.Int),
  reason: maybe(Schema.String)
})

type Port = typeof SlicePort.Type

const several = (ports: ReadonlyArray<Port>, host: string): string => {
  const names = [
    ...new Set(ports.flatMap(({ name }) => (name === undefined || name === null || name === "" ? [] : [name])))
  ]
  const fix = names.length === 0 ? "" : `, as in http://_${names[0] ?? ""}._tcp.${host}`
  return `the Service has several ports (${names.join(", ")}): say which${fix}`
}

// The port that is meant: by its name, by its number, or the only one; undefined where the slice has none of that name.
const portOf = (
  slice: EndpointSlice,
  { backend, host, portName }: Followed
): Result.Result<number | undefined, string> => {
  const ports = (slice.ports ?? []).filter(({ protocol }) => (protocol ?? "TCP") === "TCP")
  const numberOf = ({ port }: Port): Result.Result<number | undefined, string> => Result.succeed(port ?? undefined)
  if (portName !== undefined) {
    const named = ports.find(({ name }) => name === portName)
    if (named !== undefined) return numberOf(named)
    const known = ports.flatMap(({ name }) => name ?? []).join(", ")
    return Result.fail(`the Service has no port called ${portName}${known === "" ? "" : `; it has ${known}`}`)
  }
  const { port } = new URL(backend.url)
  const same = ports.find((each) => port !== "" && each.port === Number(port))
  const [only, ...others] = ports
  if (same !== undefined) return numberOf(same)
  if (only === undefined) return Result.fail("the Service has no TCP port")
  return others.length === 0 ? numberOf(only) : Result.fail(several(ports, host))
}

// What a pod is known by, whichever of its addresses a slice has.
const identityOf = ({ addresses, targetRef }: typeof SliceEndpoint.Type): string =>
  targetRef?.name === undefined || targetRef.name === null
    ? (addresses[0] ?? "")
    : `${targetRef.kind ?? ""} ${targetRef.name}`

/**
 * The servers that are ready, each once: a pod with two families of addresses stands in two slices, and while slices are put
 * in order an endpoint may stand in several. Fails with why they cannot be told.
 */
export const endpointsOf = (
  slices: Iterable<EndpointSlice>,
  followed: Followed
): Result.Result<ReadonlyArray<MemberPlace>, string> => {
  const found = new Map<string, MemberPlace>()
  let fault: string | undefined
  // IPv4 before IPv6, and always in the same order.
  const inOrder = [...slices]
    .filter(({ addressType }) => addressType === "IPv4" || addressType === "IPv6")
    .sort((a, b) => a.addressType.localeCompare(b.addressType) || a.metadata.name.localeCompare(b.metadata.name))
  for (const slice of inOrder) {
    // "Nobody knows" counts as ready, by the API's own word.
    const ready = (slice.endpoints ?? []).filter(({ conditions }) => (conditions?.ready ?? true) === true)
    if (ready.length === 0) continue
    const port = portOf(slice, followed)
    if (Result.isFailure(port)) {
      fault ??= port.failure
      continue
    }
    for (const endpoint of ready) {
      const [address] = endpoint.addresses
      const id = `${identityOf(endpoint)} ${port.success ?? ""}`
      if (address === undefined || found.has(id)) continue
      const label = endpoint.targetRef?.name ?? endpoint.hostname ?? address
      found.set(id, { label, address, port: port.success })
    }
  }
  return found.size === 0 && fault !== undefined ? Result.fail(fault) : Result.succeed([...found.values()])
}
