/**
 * Keys of clients for a gateway under test.
 */
import { createHash } from "node:crypto"
import type { StoreWaits } from "../../src/replicas/patience.ts"
import { type Gateway, type SettingsTree, startGateway } from "./gateway.ts"

const digestOf = (key: string): Uint8Array => new Uint8Array(createHash("sha256").update(key).digest())

/** The entry of a key in a config; it is `nx-` and its name. */
export const keyOf = (name: string, more: SettingsTree = {}): SettingsTree => ({
  name,
  sha256: Buffer.from(digestOf(`nx-${name}`)).toString("hex"),
  ...more
})

/** Starts a gateway with these keys. */
export const startKeyed = (
  keys: Readonly<Record<string, SettingsTree>>,
  settings: SettingsTree = {},
  storeWaits?: StoreWaits
): Promise<Gateway> => {
  const names = Object.keys(keys)
  const entries = names.map((name) => keyOf(name, keys[name]))
  const { auth, ...rest } = settings
  return startGateway(
    { auth: { ...Object(auth), keys: entries }, ...rest },
    { backendKeys: new Map(), authKeys: names.map((name) => ({ name, digest: digestOf(`nx-${name}`) })) },
    undefined,
    storeWaits
  )
}

/** What a gateway answers to somebody with a key. */
export const askAs = async (
  { url }: Pick<Gateway, "url">,
  key: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
  method = body === undefined ? "GET" : "POST"
) => {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(key === "" ? {} : { authorization: `Bearer nx-${key}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
  })
  const text = await answer.text()
  return {
    status: answer.status,
    text,
    json: () => JSON.parse(text),
    headers: answer.headers,
    backend: answer.headers.get("x-nexus-backend")
  }
}
