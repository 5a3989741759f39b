/**
 * Preloaded into a program that is measured: tells whoever asks at `HEAP_PORT` how many live objects of which class its heap
 * holds, and their bytes.
 */
import * as jsc from "bun:jsc"

/**
 * Live objects of a heap by class: functions by their names as well, environments and objects without a class by what they
 * hold. Bytes are those of the objects themselves, without what they hold outside of the heap.
 */
export type HeapClasses = Readonly<Record<string, { readonly count: number; readonly bytes: number }>>

/** A snapshot, as far as it is looked at. */
interface HeapSnapshot {
  /** Seven numbers a node: its number, its size, its class, its flags, its label, and two addresses. */
  readonly nodes: ReadonlyArray<number>
  readonly nodeClassNames: ReadonlyArray<string>
  readonly labels: ReadonlyArray<string>
  /** Four numbers an edge: from which node to which, its type, and its name. */
  readonly edges: ReadonlyArray<number>
  readonly edgeTypes: ReadonlyArray<string>
  readonly edgeNames: ReadonlyArray<string>
}

const { generateHeapSnapshotForDebugging } = jsc as unknown as { generateHeapSnapshotForDebugging: () => HeapSnapshot } // reason: Bun's types leave it out

const fieldsOfNode = 7
const fieldsOfEdge = 4

// Classes that say nothing, and the edges that do.
const telling: Readonly<Record<string, string>> = { JSLexicalEnvironment: "Variable", Object: "Property" }

/** The variables and properties of each node that lead to another. */
const heldBy = ({ edgeNames, edgeTypes, edges }: HeapSnapshot): ReadonlyMap<number, ReadonlyArray<string>> => {
  const tells = new Set(Object.values(telling).map((name) => edgeTypes.indexOf(name)))
  const found = new Map<number, Array<string>>()
  for (let at = 0; at + fieldsOfEdge <= edges.length; at += fieldsOfEdge) {
    if (!tells.has(edges[at + 2] ?? -1)) continue
    const from = edges[at] ?? -1
    const names = found.get(from) ?? []
    found.set(from, names)
    names.push(edgeNames[edges[at + 3] ?? -1] ?? "?")
  }
  return found
}

const classesOf = (snapshot: HeapSnapshot): HeapClasses => {
  const { labels, nodeClassNames, nodes } = snapshot
  const held = heldBy(snapshot)
  const classes: Record<string, { count: number; bytes: number }> = {}
  for (let at = 0; at + fieldsOfNode <= nodes.length; at += fieldsOfNode) {
    const of = nodeClassNames[nodes[at + 2] ?? -1] ?? "?"
    const label = labels[nodes[at + 4] ?? -1] ?? ""
    const more = of in telling ? (held.get(nodes[at] ?? -1) ?? []).toSorted().join(" ") : of === "Function" ? label : ""
    const name = more === "" ? of : `${of} ${more}`
    const kept = (classes[name] ??= { count: 0, bytes: 0 })
    kept.count += 1
    kept.bytes += nodes[at + 1] ?? 0
  }
  return classes
}

const port = process.env["HEAP_PORT"]
if (port !== undefined) {
  Bun.serve({
    hostname: "127.0.0.1",
    port: Number(port),
    idleTimeout: 0,
    fetch: () => {
      Bun.gc(true)
      return Response.json(classesOf(generateHeapSnapshotForDebugging()))
    }
  }).unref()
}
