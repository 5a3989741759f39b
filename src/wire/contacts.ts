/**
 * The hosts that this process has connected to, and how often.
 */

/** A host and port as calls name it, and what came of it; times in monotonic milliseconds. */
export interface Contact {
  readonly host: string
  readonly port: number
  /** Those it led to; the first ones of very many. */
  readonly addresses: Set<string>
  /** Connections that were opened, and calls that were sent. */
  connections: number
  calls: number
  lastAt: number
}

// Whoever is asked to contact ever new hosts is not remembered for each of them.
const mostHosts = 4096

const mostAddresses = 32

/** All of them since the process began. */
export class Contacts {
  private readonly all = new Map<string, Contact>()

  /** Those that a connection was opened to. */
  list(): ReadonlyArray<Contact> {
    return [...this.all.values()].filter(({ connections }) => connections > 0)
  }

  /** The place where a host is counted. */
  of(host: string, port: number): Contact {
    const key = `${host} ${port}`
    const known = this.all.get(key)
    if (known !== undefined) return known
    const made: Contact = { host, port, addresses: new Set(), connections: 0, calls: 0, lastAt: 0 }
    if (this.all.size < mostHosts) this.all.set(key, made)
    return made
  }

  /** A connection was opened. */
  opened(host: string, port: number, address: string, now: number): void {
    const contact = this.of(host, port)
    contact.connections += 1
    contact.lastAt = now
    if (contact.addresses.size < mostAddresses) contact.addresses.add(address)
  }
}
