/**
 * Preloaded into a program that is measured: tells whoever asks at `HEAP_PORT` how many live objects of which class its heap
 * holds, and their bytes.
 */

/** Live objects of a heap by class; bytes of the objects themselves, without what they hold outside of the heap. */
export type HeapClasses = Readonly<Record<string, { readonly count: number; readonly bytes: number }>>

// A node is its number, its size, its class and its flags.
const fieldsOfNode = 4

const classesOf = ({ nodeClassNames, nodes }: { nodeClassNames: Array<string>; nodes: Array<number> }): HeapClasses => {
  const classes: Record<string, { count: number; bytes: number }> = {}
  for (let at = 0; at + fieldsOfNode <= nodes.length; at += fieldsOfNode) {
    const name = nodeClassNames[nodes[at + 2] ?? -1] ?? "?"
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
      return Response.json(classesOf(Bun.generateHeapSnapshot()))
    }
  }).unref()
}
