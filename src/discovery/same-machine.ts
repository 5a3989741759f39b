/**
 * Whether two hosts are the same machine, however it is named.
 */

/** Whether a host is an address and no name. */
export const isAddress = (host: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$|:/.test(host)

/** What is known of a host: whether it is this machine, and its addresses. */
export interface HostIdentity {
  readonly own: boolean
  readonly addresses: ReadonlyArray<string>
}

/** Whether two hosts are one machine. */
export const isSameMachine = (a: HostIdentity, b: HostIdentity): boolean =>
  (a.own && b.own) || a.addresses.some((address) => b.addresses.includes(address))
