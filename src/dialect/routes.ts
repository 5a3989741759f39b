/**
 * Where a path leads: to the operation that is asked for there, and to the model where the path names it.
 */
import type { DialectList } from "./all.ts"
import type { ServerCodec } from "./chat.ts"
import type { Dialect, DialectRoute, ModelChange, Operation } from "./Dialect.ts"
import { backendOperation } from "./passage.ts"

const hole = "{model}"

const version = "/v1"

const quoted = (text: string): string => text.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`)

// Whatever stands between what comes before and behind it, colons and slashes included: what comes behind it is the last.
const patternOf = (path: string): RegExp => new RegExp(`^${path.split(hole).map(quoted).join("(.+)")}$`)

/** The model that a path names, decoded; undefined when it is not well formed. */
const modelOf = (written: string): string | undefined => {
  try {
    return decodeURIComponent(written)
  } catch {
    return undefined
  }
}

interface Pattern {
  readonly before: string
  readonly pattern: RegExp
  readonly dialect: Dialect
  readonly operation: Operation
}

interface Place {
  readonly at: string
  readonly dialect: Dialect
  readonly operation: Operation
  readonly change?: ModelChange
}

/** All places of an operation. */
export const pathsOf = ({ alsoAt = [], path }: Operation): ReadonlyArray<string> => [path, ...alsoAt]

/** The places of all operations of a list of dialects. */
export class Routes {
  private readonly whole = new Map<string, DialectRoute>()
  private readonly sockets = new Map<string, DialectRoute>()
  private readonly patterns: Array<Pattern> = []
  private readonly changes = new Map<string, DialectRoute>()
  private readonly passages: Array<Place> = []

  constructor(dialects: DialectList) {
    for (const dialect of dialects) {
      for (const operation of dialect.sockets ?? []) {
        for (const path of pathsOf(operation)) this.sockets.set(path, { dialect, operation, socket: true })
      }
      const operations =
        dialect === dialects[0] ? [backendOperation, ...(dialect.passages ?? [])] : (dialect.passages ?? [])
      for (const operation of operations) {
        for (const at of pathsOf(operation)) this.passages.push({ at, dialect, operation })
      }
      for (const change of dialect.changes ?? []) {
        const { below, operation } = change
        const { path } = operation
        if (below === true) this.passages.push({ at: path, dialect, operation, change })
        else this.changes.set(path, { dialect, operation, passage: { backend: undefined, path, change } })
      }
    }
    for (const dialect of dialects) {
      for (const operation of dialect.operations) {
        for (const path of pathsOf(operation)) {
          if (path.includes(hole)) this.add(path, dialect, operation)
          else this.whole.set(path, { dialect, operation })
        }
        for (const place of dialect.deployments ?? []) {
          const { path } = operation
          if (path.startsWith(`${version}/`)) this.add(place + path.slice(version.length), dialect, operation)
        }
      }
    }
  }

  /** The paths that name no model. */
  get plainPaths(): ReadonlyArray<string> {
    return [...this.whole.keys()]
  }

  /** The paths where a WebSocket is opened. */
  get socketPaths(): ReadonlyArray<string> {
    return [...this.sockets.keys()]
  }

  /** Where a path leads; undefined when nothing is asked for there. */
  find(path: string): DialectRoute | undefined {
    const route = this.whole.get(path) ?? this.sockets.get(path) ?? this.changes.get(path) ?? this.passage(path)
    if (route !== undefined || this.patterns.length === 0) return route
    const plain = path.replaceAll(/%3a/gi, ":")
    for (const { before, dialect, operation, pattern } of this.patterns) {
      if (!plain.startsWith(before)) continue
      const [, written] = pattern.exec(plain) ?? []
      const model = written === undefined ? undefined : modelOf(written)
      if (model !== undefined) return { dialect, operation, model }
    }
    return undefined
  }

  private passage(path: string): DialectRoute | undefined {
    for (const { at, change, dialect, operation } of this.passages) {
      if (!path.startsWith(at) || (path.length > at.length && path[at.length] !== "/")) continue
      const below = path.slice(at.length)
      if (change !== undefined) {
        if (below.length < 2) continue
        return { dialect, operation, passage: { backend: undefined, path, change } }
      }
      if (operation !== backendOperation)
        return { dialect, operation, passage: { backend: undefined, path: operation.path + below } }
      const [, written = "", rest = ""] = /^\/([^/]+)(\/.*)?$/.exec(below) ?? []
      const backend = modelOf(written)
      if (backend !== undefined && rest !== "") return { dialect, operation, passage: { backend, path: rest } }
    }
    return undefined
  }

  private add(path: string, dialect: Dialect, operation: Operation): void {
    this.patterns.push({ before: path.slice(0, path.indexOf(hole)), pattern: patternOf(path), dialect, operation })
  }
}

/** The path of an operation at a server, and what stands behind it. */
export const serverPath = ({ path, query }: Operation): string => (query === undefined ? path : `${path}?${query}`)

/** The address of an operation with the name of its model. */
export const addressFor = (address: string, model: string): string =>
  address.includes(hole) ? filled(address, encodeURIComponent(model).replaceAll("%3A", ":")) : address

const filled = (address: string, model: string): string => address.replace(hole, () => model)

/** How a server is asked for a chat. */
export interface ServerRoute {
  readonly route: DialectRoute
  readonly codec: ServerCodec
}

/** How servers are asked for a chat that speak one of these dialects: in the first of them that can be written. */
export const serverRoute = (
  dialects: DialectList,
  speaks: ReadonlyArray<string>,
  stream: boolean
): ServerRoute | undefined => {
  for (const id of speaks) {
    const dialect = dialects.find((each) => each.id === id)
    for (const operation of dialect?.operations ?? []) {
      const { server, streams = stream } = operation
      if (dialect === undefined || server === undefined || streams !== stream) continue
      return { route: { dialect, operation }, codec: server }
    }
  }
  return undefined
}
