/**
 * The API server of Kubernetes as far as EndpointSlices go: lists in pages, watches from a version on, bookmarks, a history that
 * is forgotten, tokens and rights.
 *
 * Shapes and rules are those of the published API: discovery.k8s.io/v1 in its OpenAPI schemas (EndpointSlice, EndpointSliceList,
 * WatchEvent, Status), and "Kubernetes API Concepts" on resource versions, watches, bookmarks, `410 Gone` and chunked lists.
 */

/** An endpoint as a test tells of it. */
interface PodEndpoint {
  readonly pod?: string
  readonly address: string
  /** Left out of the answer when undefined, as the API does where nobody knows. */
  readonly ready?: boolean
  readonly hostname?: string
}

/** A slice as a test tells of it. */
export interface SliceText {
  readonly service: string
  readonly namespace?: string
  readonly family?: "IPv4" | "IPv6" | "FQDN"
  readonly ports?: ReadonlyArray<{ readonly name?: string; readonly port?: number; readonly protocol?: string }>
  readonly endpoints: ReadonlyArray<PodEndpoint>
}

interface Stored {
  readonly namespace: string
  readonly service: string
  readonly object: ReturnType<typeof sliceObject>
}

interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED"
  readonly version: number
  readonly of: Stored
}

interface Watcher {
  readonly namespace: string
  readonly service: string
  readonly bookmarks: boolean
  readonly write: (line: object) => void
  readonly end: () => void
}

/** A request that was answered, or is. */
export interface ApiRequest {
  readonly path: string
  readonly query: URLSearchParams
  readonly authorization: string | null
}

/** A slice as the API writes it. */
export const sliceObject = (
  name: string,
  { endpoints, family = "IPv4", namespace = "default", ports, service }: SliceText,
  version: number
) => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    name,
    namespace,
    resourceVersion: String(version),
    uid: `00000000-0000-4000-8000-${String(version).padStart(12, "0")}`,
    labels: {
      "kubernetes.io/service-name": service,
      "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"
    }
  },
  addressType: family,
  endpoints: endpoints.map(({ address, hostname, pod, ready }) => ({
    addresses: [address],
    conditions: ready === undefined ? {} : { ready, serving: ready, terminating: !ready },
    ...(hostname === undefined ? {} : { hostname }),
    ...(pod === undefined ? {} : { targetRef: { kind: "Pod", name: pod, namespace } })
  })),
  ports: (ports ?? [{ name: "http", port: 8000 }]).map((port) => Object.assign({ protocol: "TCP" }, port))
})

const status = (code: number, reason: string, message: string) => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message,
  reason,
  code
})

const group = "discovery.k8s.io/v1"

const gone = (from: string, oldest: number) => status(410, "Expired", `too old resource version: ${from} (${oldest})`)

/** A running one. */
export class KubernetesApi implements AsyncDisposable {
  /** The token that is good; anybody may ask when undefined. */
  token: string | undefined
  /** Whether those who have it may list and watch. */
  allowed = true
  readonly requests: Array<ApiRequest> = []
  private readonly slices = new Map<string, Stored>()
  private history: Array<WatchEvent> = []
  private readonly watchers = new Set<Watcher>()
  private version = 1000
  private oldest = 1000
  private readonly server: Bun.Server<undefined>

  constructor(tls?: { readonly cert: string; readonly key: string }) {
    this.server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      idleTimeout: 0,
      ...(tls === undefined ? {} : { tls: { cert: tls.cert, key: tls.key } }),
      fetch: (request) => this.answer(request)
    })
  }

  get url(): string {
    return this.server.url.href.replace(/\/$/, "")
  }

  /** Watches that are open. */
  get watches(): number {
    return this.watchers.size
  }

  /** Puts a slice, new or changed. */
  put(name: string, text: SliceText): void {
    this.version += 1
    const { namespace = "default", service } = text
    const stored = { namespace, service, object: sliceObject(name, text, this.version) }
    const id = `${namespace}/${name}`
    const type = this.slices.has(id) ? "MODIFIED" : "ADDED"
    this.slices.set(id, stored)
    this.happened({ type, version: this.version, of: stored })
  }

  /** Takes one out. */
  remove(name: string, namespace = "default"): void {
    const id = `${namespace}/${name}`
    const of = this.slices.get(id)
    if (of === undefined) return
    this.version += 1
    this.slices.delete(id)
    const { metadata } = of.object
    const object = { ...of.object, metadata: { ...metadata, resourceVersion: String(this.version) } }
    this.happened({ type: "DELETED", version: this.version, of: { ...of, object } })
  }

  /** Something else in the cluster changes, which watches that want bookmarks are told of. */
  bookmark(): void {
    this.version += 10
    for (const watcher of this.watchers) {
      if (!watcher.bookmarks) continue
      const metadata = { resourceVersion: String(this.version) }
      watcher.write({ type: "BOOKMARK", object: { kind: "EndpointSlice", apiVersion: group, metadata } })
    }
  }

  /** Forgets what has happened before now. */
  compact(): void {
    this.history = []
    this.oldest = this.version
  }

  /** Ends all watches, as the server does when their time is over. */
  endWatches(): void {
    for (const watcher of this.watchers) watcher.end()
  }

  /** Ends all watches with an error that is no failure of the connection. */
  expireWatches(): void {
    for (const watcher of this.watchers) {
      watcher.write({ type: "ERROR", object: gone("1", this.oldest) })
      watcher.end()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop(true)
  }

  private happened(event: WatchEvent): void {
    this.history.push(event)
    for (const watcher of this.watchers) this.tell(watcher, event)
  }

  private tell(watcher: Watcher, { of, type }: WatchEvent): void {
    if (of.namespace === watcher.namespace && of.service === watcher.service) watcher.write({ type, object: of.object })
  }

  private answer(request: Request): Response {
    const { pathname, searchParams: query } = new URL(request.url)
    const authorization = request.headers.get("authorization")
    this.requests.push({ path: pathname, query, authorization })
    const refuse = (code: number, reason: string, message: string) =>
      Response.json(status(code, reason, message), { status: code })
    if (this.token !== undefined && authorization !== `Bearer ${this.token}`)
      return refuse(401, "Unauthorized", "Unauthorized")
    const [, namespace] = /^\/apis\/discovery\.k8s\.io\/v1\/namespaces\/([^/]+)\/endpointslices$/.exec(pathname) ?? []
    if (namespace === undefined) return refuse(404, "NotFound", "the server could not find the requested resource")
    if (!this.allowed) {
      const who = "system:serviceaccount:default:nexus"
      const what = `endpointslices.discovery.k8s.io is forbidden: User "${who}" cannot list resource "endpointslices" in API group "discovery.k8s.io" in the namespace "${namespace}"`
      return refuse(403, "Forbidden", what)
    }
    const [, service = ""] = /^kubernetes\.io\/service-name=(.*)$/.exec(query.get("labelSelector") ?? "") ?? []
    return query.get("watch") === "1" ? this.watch(namespace, service, query) : this.list(namespace, service, query)
  }

  private list(namespace: string, service: string, query: URLSearchParams): Response {
    const all = [...this.slices.values()].filter((each) => each.namespace === namespace && each.service === service)
    const from = Number(query.get("continue") ?? 0)
    const limit = Number(query.get("limit") ?? 0)
    const page = limit === 0 ? all : all.slice(from, from + limit)
    const more = from + page.length < all.length ? { continue: String(from + page.length) } : {}
    const metadata = { resourceVersion: String(this.version), ...more }
    return Response.json({
      kind: "EndpointSliceList",
      apiVersion: group,
      metadata,
      items: page.map(({ object }) => object)
    })
  }

  private watch(namespace: string, service: string, query: URLSearchParams): Response {
    const from = query.get("resourceVersion") ?? ""
    const encoder = new TextEncoder()
    let ended = (): void => undefined
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        let open = true
        const watcher: Watcher = {
          namespace,
          service,
          bookmarks: query.get("allowWatchBookmarks") === "true",
          write: (line) => {
            if (open) controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`))
          },
          end: () => {
            if (open) controller.close()
            ended()
          }
        }
        ended = () => {
          open = false
          this.watchers.delete(watcher)
        }
        if (Number(from) < this.oldest) {
          watcher.write({ type: "ERROR", object: gone(from, this.oldest) })
          watcher.end()
          return
        }
        for (const event of this.history) if (event.version > Number(from)) this.tell(watcher, event)
        this.watchers.add(watcher)
      },
      cancel: () => ended()
    })
    return new Response(body, { headers: { "content-type": "application/json" } })
  }
}
