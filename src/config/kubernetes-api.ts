/**
 * Where the API of Kubernetes is, and who Nexus is to it: as the settings have it, or as every pod is told.
 */
import { networkFault } from "../backend/zone.ts"
import type { Mistake } from "./check.ts"
import { dnsServerAddress, dnsServerFault } from "./hosts.ts"
import { type KeyPath, type Table, valueAt } from "./path.ts"
import { perimeterOf } from "./privacy.ts"
import type { Settings } from "./schema.ts"
import type { Environment } from "./sources.ts"
import { withoutSecrets } from "./url-rules.ts"
import { hostInUrl } from "../domain/url-host.ts"

/** Where it is asked; files, which may be named from the folder of the config, are read when it is. */
export interface KubernetesApi {
  readonly url: string
  readonly tokenFile: string | undefined
  readonly caFile: string | undefined
  /** The namespace of Services that are named without one, or the file that has it. */
  readonly namespace: string | undefined
  readonly namespaceFile: string | undefined
}

/** What a pod finds there of its service account. */
const accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

/** Where it is by the settings, else by the variables that every pod has. */
export const kubernetesApi = (
  { ca_file: ca, namespace, token_file: token, url }: Settings["discovery"]["kubernetes"],
  env: Environment
): KubernetesApi | undefined => {
  const fileOf = (name: string | undefined, own: string): string | undefined =>
    name ?? (url === undefined ? `${accountFolder}/${own}` : undefined)
  const host = env["KUBERNETES_SERVICE_HOST"]?.trim() ?? ""
  const port = env["KUBERNETES_SERVICE_PORT_HTTPS"] ?? env["KUBERNETES_SERVICE_PORT"] ?? "443"
  const own = host === "" ? undefined : `https://${hostInUrl(host)}:${port.trim()}`
  const at = url ?? own
  if (at === undefined || !URL.canParse(at)) return undefined
  return {
    url: at.replace(/\/+$/, ""),
    tokenFile: fileOf(token, "token"),
    caFile: fileOf(ca, "ca.crt"),
    namespace,
    namespaceFile: fileOf(undefined, "namespace")
  }
}

/** What is wrong with what is asked of names and of Kubernetes. */
export const followedMistakes = (tree: Table): ReadonlyArray<Mistake> => {
  const servers = valueAt(tree, ["discovery", "dns_servers"])
  const at: KeyPath = ["discovery", "kubernetes", "url"]
  const url = valueAt(tree, at)
  const isUrl = typeof url !== "string" || url === "" || (/^https?:\/\//i.test(url) && URL.canParse(url))
  const networks = valueAt(tree, ["privacy", "networks"])
  const listed = (Array.isArray(networks) ? networks : []).filter((each) => typeof each === "string")
  const isGood = listed.every((each) => networkFault(each) === undefined)
  const isLocalOnly = valueAt(tree, ["privacy", "mode"]) === "local-only"
  const isWithin = isLocalOnly && isGood ? perimeterOf({ mode: "local-only", networks: listed }) : undefined
  const faultOf = (server: string): string | undefined => {
    const address = dnsServerAddress(server)
    return address !== undefined && isWithin?.(address) === false
      ? 'it is beyond this machine and privacy.networks (privacy.mode = "local-only")'
      : dnsServerFault(server)
  }
  return [
    ...(Array.isArray(servers) ? servers : []).flatMap((value: unknown, index) => {
      const reason = typeof value === "string" ? faultOf(value) : undefined
      return reason === undefined ? [] : [{ path: ["discovery", "dns_servers", index], value, reason }]
    }),
    ...(isUrl
      ? []
      : [{ path: at, value: withoutSecrets(url), reason: "expected a URL that begins with http:// or https://" }])
  ]
}
