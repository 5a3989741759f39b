/**
 * The reverse proxies that are run in front of the gateway: the settings of each, and the command that starts it.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"

/** Where a proxy stands. */
export interface Place {
  /** A folder of its own. */
  readonly folder: string
  readonly port: number
  /** The port of the gateway. */
  readonly behind: number
}

/** A proxy and one way to set it up. */
export interface ProxyKind {
  readonly name: string
  readonly program: string
  /** Ends an answer that broke off as if it were whole: it speaks HTTP/1.0 to the gateway, or is too old. */
  readonly hidesBreaks?: boolean
  /** Has each connection end with its answer, which Bun's server then does without reading on. */
  readonly closes?: true
  readonly config: (place: Place) => string
  readonly args: (file: string, place: Place) => ReadonlyArray<string>
}

const nginx = (location: (behind: number) => string) => ({
  program: "nginx",
  config: ({ behind, folder, port }: Place) => `
daemon off; master_process off; pid ${folder}/pid; error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off; client_max_body_size 100m;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  upstream nexus { server 127.0.0.1:${String(behind)}; keepalive 32; }
  server {
    listen 127.0.0.1:${String(port)};
    location /admin/ { return 404; }
    location = /v1/realtime {
      proxy_pass http://127.0.0.1:${String(behind)};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
    }
    location / { ${location(behind)} }
  }
}`,
  args: (file: string, { folder }: Place) => ["-e", "stderr", "-p", folder, "-c", file]
})

const haproxy = (options: string) => ({
  program: "haproxy",
  config: ({ behind, port }: Place) => `
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 1h
  option forwardfor
${options}
frontend in
  bind 127.0.0.1:${String(port)}
  http-request deny deny_status 404 if { path_beg /admin/ } or { path /metrics }
  default_backend nexus
backend nexus
  server nexus 127.0.0.1:${String(behind)}
`,
  args: (file: string) => ["-db", "-f", file]
})

const streaming = `proxy_pass http://nexus; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_request_buffering off; proxy_next_upstream off;`

/** Every proxy, as docs/reverse-proxy.md has it and as it comes. */
export const proxyKinds: ReadonlyArray<ProxyKind> = [
  { name: "nginx", ...nginx(() => `${streaming} proxy_buffering off;`) },
  { name: "nginx buffering", ...nginx(() => streaming.replace("_buffering off", "_buffering on")) },
  {
    name: "nginx as it comes",
    hidesBreaks: true,
    closes: true,
    ...nginx((behind) => `proxy_pass http://127.0.0.1:${String(behind)};`)
  },
  { name: "HAProxy", ...haproxy("  option http-no-delay\n  option abortonclose") },
  { name: "HAProxy closing", closes: true, ...haproxy("  option http-server-close\n  option abortonclose") },
  {
    name: "Caddy",
    program: "caddy",
    hidesBreaks: Bun.which("caddy") !== null && /^v?2\.6\./.test(Bun.spawnSync(["caddy", "version"]).stdout.toString()),
    config: ({ behind, port }) => `{
	admin off
	auto_https off
}
http://127.0.0.1:${String(port)} {
	@inside path /admin/* /metrics
	respond @inside 404
	reverse_proxy 127.0.0.1:${String(behind)}
}
`,
    args: (file) => ["run", "--adapter", "caddyfile", "--config", file]
  },
  {
    name: "Envoy",
    program: "envoy",
    config: ({ behind, port }) => `
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: ${String(port)} } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          stream_idle_timeout: 600s
          upgrade_configs: [{ upgrade_type: websocket }]
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { prefix: "/admin/" }
                direct_response: { status: 404 }
              - match: { prefix: "/" }
                route: { cluster: nexus, timeout: 0s }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: nexus
    type: STATIC
    load_assignment:
      cluster_name: nexus
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${String(behind)} } } }
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: { idle_timeout: 60s }
        explicit_http_config: { http_protocol_options: {} }
`,
    args: (file) => ["-c", file, "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"]
  }
]

/** The command that starts a proxy, with its settings written down. */
export const commandOf = (kind: ProxyKind, place: Place): ReadonlyArray<string> => {
  const file = join(place.folder, kind.program === "envoy" ? "config.yaml" : "config")
  writeFileSync(file, kind.config(place))
  return [kind.program, ...kind.args(file, place)]
}
