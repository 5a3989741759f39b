/**
 * Where servers may be found: the well-known ports of this machine and of others, and what announces itself.
 */
import { shortHash } from "../backend/followed.ts"
import type { HostEntry } from "../config/hosts.ts"
import type { Advert } from "./mdns/adverts.ts"
import { bareHost, hostInUrl } from "../domain/url-host.ts"

/** One place where one server may be. */
export interface Place {
  /** Identity, the same from look to look. */
  readonly id: string
  /** Second half of the name of what is found there. */
  readonly suffix: string
  /** Base URLs to try, in order. */
  readonly urls: ReadonlyArray<string>
  /** Whether the server itself has said that it is gone. */
  readonly withdrawn: boolean
}

/** The names by which a container reaches the machine it runs on: Docker's and Podman's. */
export const containerHosts: ReadonlyArray<HostEntry> = ["host.docker.internal", "host.containers.internal"].map(
  (host) => ({ host, port: undefined })
)

/** The ports of this machine, whether a server listens on IPv4 or on IPv6 alone. */
export const localPlaces = (ports: ReadonlyArray<number>): ReadonlyArray<Place> =>
  ports.map((port) => ({
    id: `port ${port}`,
    suffix: String(port),
    urls: [`http://127.0.0.1:${port}`, `http://[::1]:${port}`],
    withdrawn: false
  }))

/** The longest name of a kind, a dash, this, and something to tell it from others are at most 64 characters. */
const longest = 40

/** A text as part of the name of a backend: letters, digits, dots, dashes and underscores, and never too long. */
export const slugOf = (text: string): string => {
  const plain = text
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[-._]+|[-._]+$/g, "")
  if (plain === "") return shortHash(text)
  return plain.length <= longest ? plain : `${plain.slice(0, longest - 7)}-${shortHash(text)}`
}

/** The ports of another machine: the one it is named with, or those given. */
export const hostPlaces = ({ host, port }: HostEntry, ports: ReadonlyArray<number>): ReadonlyArray<Place> =>
  (port === undefined ? ports : [port]).map((each) => ({
    id: `host ${host} ${each}`,
    suffix: `${slugOf(bareHost(host).replaceAll(":", "-"))}-${each}`,
    urls: [`http://${host}:${each}`],
    withdrawn: false
  }))

/** The place of what announces itself; a path that it hints at is tried first. */
export const advertPlace = ({ key, label, addresses, port, path, state }: Advert): Place => ({
  id: `mdns ${key}`,
  suffix: slugOf(label),
  urls: addresses.flatMap((address) => {
    const url = `http://${hostInUrl(address)}:${port}`
    return path === "" ? [url] : [`${url}${path}`, url]
  }),
  withdrawn: state === "withdrawn"
})

/** What tells a container from a machine. */
export interface ContainerSigns {
  /** Whether a file is there. */
  readonly has: (path: string) => boolean
  /** What /proc/1/cgroup says; empty where there is none. */
  readonly cgroup: string
}

/** Whether this process runs in a container of Docker, Podman, Kubernetes or the like. */
export const isInContainer = ({ has, cgroup }: ContainerSigns): boolean =>
  has("/.dockerenv") ||
  has("/run/.containerenv") ||
  /(^|[/:-])(docker|libpod|podman|kubepods|containerd|lxc)([/.:-]|$)/m.test(cgroup)
