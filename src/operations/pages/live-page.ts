/**
 * The page at `/ui`: its files alone, which tell nothing of the gateway; what it shows it asks for itself. They are made from
 * source when they are asked for first, or found in the executable, into which the build has put them.
 */
import { createHash } from "node:crypto"
import { join } from "node:path"
import { uiPath } from "../../admission/own-page.ts"

/** A file as it is sent. */
interface UiFile {
  readonly type: string
  readonly gzipped: Uint8Array<ArrayBuffer>
  readonly etag: string
}

/** What the files are called in the executable begins so. */
const embedded = "ui-"

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8"
}

const fileOf = (name: string, gzipped: Uint8Array<ArrayBuffer>): readonly [string, UiFile] => {
  const type = types[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream"
  return [name, { type, gzipped, etag: `"${createHash("sha256").update(gzipped).digest("base64url").slice(0, 16)}"` }]
}

/** Makes the files from source, by name, compressed. */
export const bundleUi = async (): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>> => {
  const folder = join(import.meta.dir, "../../ui")
  const { outputs } = await Bun.build({
    entrypoints: ["page.tsx", "live-worker.ts", "page.css"].map((name) => join(folder, name)),
    define: { "process.env.NODE_ENV": JSON.stringify("production") },
    minify: true,
    naming: "[name].[ext]",
    target: "browser"
  })
  const made = await Promise.all(
    outputs.map(async (output) => [output.path.replace(/^.*\//, ""), await output.arrayBuffer()] as const)
  )
  const page = await Bun.file(join(folder, "index.html")).arrayBuffer()
  return new Map(
    [...made, ["index.html", page] as const].map(([name, bytes]) => [name, Bun.gzipSync(bytes, { level: 9 })])
  )
}

/** What a file is called in the executable. */
export const embeddedName = (name: string): string => `${embedded}${name}.gz`

const found = async (): Promise<ReadonlyMap<string, UiFile>> => {
  const kept = Bun.embeddedFiles.flatMap((file) => {
    const { name } = file as Blob & { readonly name: string } // reason: they are files, although their type says less
    return name.startsWith(embedded) ? [{ name: name.slice(embedded.length, -".gz".length), file }] : []
  })
  if (kept.length > 0) {
    return new Map(
      await Promise.all(kept.map(async ({ file, name }) => fileOf(name, new Uint8Array(await file.arrayBuffer()))))
    )
  }
  return new Map([...(await bundleUi())].map(([name, bytes]) => fileOf(name, bytes)))
}

let files: Promise<ReadonlyMap<string, UiFile>> | undefined

const uiFiles = (): Promise<ReadonlyMap<string, UiFile>> => (files ??= found())

/** What a browser may do with the page: run and show what comes from here, and ask here. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; worker-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const common = { "cache-control": "no-cache", "x-content-type-options": "nosniff", vary: "accept-encoding" }

const onPage = { "content-security-policy": policy, "referrer-policy": "no-referrer" }

/** Answers a request for the page or one of its files; undefined when there is no such file. */
export const uiAnswer = async ({ headers, method }: Request, path: string): Promise<Response | undefined> => {
  if (path === uiPath) return new Response(null, { status: 308, headers: { location: `${uiPath.slice(1)}/` } })
  const file = (await uiFiles()).get(path.slice(uiPath.length + 1) || "index.html")
  if (file === undefined) return undefined
  const { etag, gzipped, type } = file
  const isPage = type.startsWith("text/html")
  const told = { ...common, ...(isPage ? onPage : {}), etag, "content-type": type }
  if (headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers: told })
  const takesGzip = /\bgzip\b(?!\s*;\s*q=0(\.0*)?(,|$))/i.test(headers.get("accept-encoding") ?? "")
  const body = takesGzip ? gzipped : Bun.gunzipSync(gzipped)
  const coded = takesGzip ? { "content-encoding": "gzip" } : {}
  return new Response(method === "HEAD" ? null : body, { headers: { ...told, ...coded } })
}
